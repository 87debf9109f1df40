/** Making a tenant: its keys, its CAs, its genesis trust document and its database, in one directory. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bytes, utf8 } from '../shared/bytes.ts'
import { CRL_SIGN, KEY_CERT_SIGN, parseAnchor } from '../shared/x509.ts'
import { encodeEnvelope, signWithAuthority } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { KeyferryError } from '../shared/errors.ts'
import { encodePem } from '../shared/pem.ts'
import {
  generateSigningKey,
  type AnySigningKey,
  type SignatureAlgorithm,
  type SigningKey,
} from '../shared/signature.ts'
import { SUITES, verifyGenesis, type Suite } from '../shared/trust.ts'
import { tenantId } from '../shared/document-hash.ts'
import { makeIssuingCa, makeRootCa, type Issuer } from '../shared/issue.ts'
import { OID_CLIENT_AUTH, issueRoleCrl } from './ca.ts'
import { encodeCa, exportKey, keyPath } from './key-files.ts'
import { writeReference } from './key-reference.ts'
import { hasEd25519, makeMaster, makeSigningKey } from './pkcs11-keys.ts'
import { formatPkcs11, parsePlace, type Pkcs11Place } from './place.ts'
import { random } from './random.ts'
import { markOf, openPlace } from './roots.ts'
import { appendLog } from './log.ts'
import { writeKeyFile } from './secret.ts'
import { markChanged, openStore, storePath } from './store.ts'

const YEAR = 365 * 86_400

/** What `init` is told. */
export interface InitOptions {
  directory: string
  /** Customer's name, for the CA certificates. */
  organization: string
  /** Domain below which the hosts `deriver.` and `client.` are made, e.g. `acme.example`. */
  domain: string
  /** Relay addresses. */
  relays: string[]
  /** Web origins that may call the relay. */
  origins: string[]
  /** `null` leaves the key files unsealed. */
  passphrase: string | null
  algorithm?: SignatureAlgorithm
  suites?: Suite[]
  /** Where the master secret is: a place of place.ts. Default `file:master`, which is made. In an HSM it is made there, and so are the signing keys. */
  root?: string
  headLifetime?: number
  skew?: number
  /** DER anchors of customer CAs, to be used in place of the built-in ones. */
  anchors?: { derivers?: Bytes[]; clients?: Bytes[] }
  /** CRLs of those CAs. */
  now: number
}

/** Validity of the built-in CAs, seconds. */
const ROOT_LIFETIME = 20 * YEAR
const CA_LIFETIME = 10 * YEAR

/** A CA made by `init`, with the contents of its key file. */
interface MadeCa {
  issuer: Issuer
  file: Bytes
}

async function makeRoot(options: InitOptions): Promise<MadeCa> {
  const key = await generateSigningKey(options.algorithm ?? 'ES256', true)
  const certificate = await makeRootCa({
    key,
    commonName: `${options.organization} root`,
    organization: options.organization,
    hosts: [`client.${options.domain}`, `deriver.${options.domain}`],
    notBefore: options.now - 3_600,
    notAfter: options.now + ROOT_LIFETIME,
    random,
  })
  const issuer = { key, certificate }
  return { issuer, file: await encodeCa(issuer) }
}

/** An issuing CA of a role under the root, constrained to `host`; it ends no later than the root. */
export async function makeRoleCa(
  root: Issuer,
  role: 'deriver' | 'client',
  named: { organization: string; host: string; algorithm: SignatureAlgorithm },
  now: number,
): Promise<MadeCa> {
  const key = await generateSigningKey(named.algorithm, true)
  const until = parseAnchor(root.certificate).notAfter
  const certificate = await makeIssuingCa({
    key,
    issuer: root,
    commonName: `${named.organization} ${role}s`,
    organization: named.organization,
    host: named.host,
    eku: [OID_CLIENT_AUTH],
    notBefore: now - 3_600,
    notAfter: Math.min(now + CA_LIFETIME, until),
    random,
  })
  const issuer = { key, certificate }
  return { issuer, file: await encodeCa(issuer) }
}

/** An origin without a path, as trust documents hold them. Throws `ERR_USAGE`. */
export function originOf(address: string, what: string): string {
  const url = URL.canParse(address) ? new URL(address) : null
  const isOrigin =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === '/' &&
    url.search === '' &&
    url.username === ''
  if (!isOrigin)
    throw new KeyferryError(
      'ERR_USAGE',
      `not ${what}: ${address} (for example https://host.example)`,
    )
  return url.origin
}

/** Anchors of a customer's own CA. Throws `ERR_USAGE` for what no path could end at. */
function checkAnchors(anchors: readonly Bytes[]): Bytes[] {
  for (const der of anchors) {
    try {
      const { isCa, keyUsage } = parseAnchor(der)
      if (!isCa || (keyUsage & KEY_CERT_SIGN) === 0 || (keyUsage & CRL_SIGN) === 0)
        throw new TypeError('not a CA')
    } catch (cause) {
      throw new KeyferryError(
        'ERR_USAGE',
        'an anchor is not a CA certificate that may sign certificates and CRLs',
        { cause },
      )
    }
  }
  return [...anchors]
}

interface MadeRole {
  rules: { anchors: Bytes[]; ekus: string[]; sans: string[] }
  ca: MadeCa | null
}

async function makeRole(
  options: InitOptions,
  role: 'deriver' | 'client',
  own: Bytes[] | undefined,
  root: MadeCa,
): Promise<MadeRole> {
  const { organization, domain, algorithm = 'ES256', now } = options
  const named = { organization, host: `${role}.${domain}`, algorithm }
  const ca = own === undefined ? await makeRoleCa(root.issuer, role, named, now) : null
  const anchors = ca === null ? checkAnchors(own!) : [ca.issuer.certificate]
  const sans = [`keyferry://${role}.${options.domain}/*`]
  return { rules: { anchors, ekus: [OID_CLIENT_AUTH], sans }, ca }
}

/** The keys of an HSM beside its master secret. */
interface HsmKeys {
  place: Pkcs11Place
  authority: Pkcs11Place
  deriver: Pkcs11Place
}

function hsmKeys(root: string): HsmKeys | null {
  const place = parsePlace(root)
  if (place.kind !== 'pkcs11') return null
  const named = (what: string): Pkcs11Place => ({ ...place, object: `${place.object}-${what}` })
  return { place, authority: named('authority'), deriver: named('deriver') }
}

/** Makes master secret and signing keys in an HSM. Throws `ERR_EXISTS` where one of the labels is taken, and what an HSM throws. */
async function makeInHsm(
  { place, authority, deriver }: HsmKeys,
  { directory, algorithm = 'ES256' }: InitOptions,
): Promise<AnySigningKey> {
  const alg = (await hasEd25519(place, directory)) ? 'Ed25519' : 'ES256'
  await makeMaster(place, directory)
  await makeSigningKey(deriver, algorithm === 'Ed25519' ? alg : 'ES256', directory)
  return makeSigningKey(authority, alg, directory)
}

/**
 * Makes a tenant: keys, CAs, genesis trust document, database. Everything is made and checked before anything is written.
 * Throws `ERR_USAGE`, `ERR_EXISTS`, `ERR_IO`, and what a root throws. Returns the tenant id.
 */
export async function initTenant(options: InitOptions): Promise<string> {
  const { directory, passphrase, now, domain, anchors } = options
  const isDomain = domain
    .split('.')
    .every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label))
  if (!isDomain || !domain.includes('.'))
    throw new KeyferryError('ERR_USAGE', `not a domain: ${domain}`)
  const { length } = utf8(options.organization)
  if (length < 1 || length > 48)
    throw new KeyferryError('ERR_USAGE', 'the organization has 1 to 48 bytes')
  if (existsSync(storePath(directory)))
    throw new KeyferryError('ERR_EXISTS', `${directory} holds a tenant already`)
  const place = options.root ?? 'file:master'
  const hsm = hsmKeys(place)
  const isFile = parsePlace(place).kind === 'file'
  if (isFile && place !== 'file:master')
    throw new KeyferryError('ERR_USAGE', 'the master secret of a new tenant is file:master')
  // Before anything is written: a root that does not answer leaves nothing behind.
  const authority =
    hsm === null ? await generateSigningKey('Ed25519', true) : await makeInHsm(hsm, options)
  const key = isFile ? null : await openPlace(place, { directory, passphrase })
  const root = await makeRoot(options)
  const clients = await makeRole(options, 'client', anchors?.clients, root)
  const derivers = await makeRole(options, 'deriver', anchors?.derivers, root)
  const body = {
    authority: { keys: [authority.spki], threshold: 1 },
    clients: clients.rules,
    derivers: derivers.rules,
    expiresAt: now + YEAR,
    headLifetime: options.headLifetime ?? 3_600,
    incarnation: 1,
    issuedAt: now,
    lowestCrls: [],
    number: 1,
    origins: options.origins.map((origin) => originOf(origin, 'a web origin')),
    previous: '',
    relays: options.relays.map((relay) => originOf(relay, 'the address of a relay')),
    skew: options.skew ?? 60,
    suites: options.suites ?? [...SUITES],
    tenant: '',
  }
  const envelope = await signWithAuthority('trust', body, [authority])
  const tenant = tenantId(envelope)
  await verifyGenesis(envelope, tenant)
  mkdirSync(join(directory, 'keys'), { recursive: true, mode: 0o700 })
  const mark = key === null ? null : await markOf(key, tenant)
  if (isFile) writeKeyFile(keyPath(directory, 'master'), random(32), 'master', passphrase)
  if (hsm === null) {
    const bytes = await exportKey(authority as SigningKey)
    writeKeyFile(keyPath(directory, 'authority'), bytes, 'authority', passphrase)
  } else {
    writeReference(keyPath(directory, 'authority'), 'authority', formatPkcs11(hsm.authority))
    writeReference(keyPath(directory, 'deriver'), 'deriver', formatPkcs11(hsm.deriver))
  }
  const store = openStore(storePath(directory), true)
  try {
    // Where both roles have CAs of the customer's own, there is nothing for a root to sign.
    if (clients.ca !== null || derivers.ca !== null) {
      writeKeyFile(keyPath(directory, 'ca-root'), root.file, 'ca-root', passphrase)
      // Public, and there for `ca show` when the key is offline.
      writeFileSync(
        join(directory, 'ca-root.pem'),
        encodePem('CERTIFICATE', root.issuer.certificate),
      )
    }
    for (const [role, { ca }] of [
      ['client', clients],
      ['deriver', derivers],
    ] as const) {
      if (ca === null) continue
      writeKeyFile(keyPath(directory, `ca-${role}`), ca.file, `ca-${role}`, passphrase)
      await issueRoleCrl(store, ca.issuer, role, now)
    }
    store.transaction(() => {
      store.run(
        'INSERT INTO trust VALUES (1, ?, ?)',
        documentHash(envelope),
        encodeEnvelope(envelope),
      )
      store.set('incarnation', 1)
      store.run(
        'UPDATE roots SET place = ?, mark = ?, added = ? WHERE number = 1',
        place,
        mark,
        now,
      )
      appendLog(store, 'tenant-created', now, { authority: authority.spki, tenant })
      markChanged(store)
    })
    return tenant
  } finally {
    store.close()
  }
}
