/** The built-in CAs at work: certificates for derivers and clients, and their revocation lists. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { parseCsr } from '../shared/csr.ts'
import { type Role } from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { type CRL_REASONS, issueCrl, issueLeaf, type Issuer } from '../shared/issue.ts'
import { validatePath } from '../shared/path.ts'
import {
  generateSigningKey,
  keyId,
  type AnySigningKey,
  type SigningKey,
} from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { listedName, storeCrl } from './crls.ts'
import { isDenied } from './devices.ts'
import { random } from './random.ts'
import { type Store } from './store.ts'

/** id-kp-clientAuth (RFC 5280 §4.2.1.12). */
export const OID_CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

const DAY = 86_400
/** Seconds: deriver certificates and CRLs of the built-in CA. */
const DERIVER_LIFETIME = 7 * DAY
const CRL_LIFETIME = 7 * DAY
/** Certificates begin a little earlier, for clocks that are late. */
const BACKDATE = 300

/** Built-in CAs whose CRLs a service renews. */
export interface BuiltInCas {
  deriver?: Issuer
  client?: Issuer
  /** Those that were replaced, for as long as certificates of theirs are in force. */
  replaced?: readonly { role: Role; issuer: Issuer }[]
}

interface IssuedRow {
  serial: string
  role: Role
  uri: string
  key_id: Bytes
  not_after: number
  revoked: number | null
  reason: keyof typeof CRL_REASONS | null
}

/** Remembers that certificates under this key are revoked by lists of ours. */
function noteIssuer(store: Store, id: Bytes, role: Role): void {
  store.run('INSERT OR IGNORE INTO own_issuers VALUES (?, ?)', id, role)
}

/** Rows are never taken out and never un-revoked, so this only rises. */
function countRevoked(store: Store, role: Role): number {
  return store.get<{ n: number }>(
    'SELECT count(*) AS n FROM issued WHERE role = ? AND revoked IS NOT NULL',
    role,
  )!.n
}

/** Issues the next CRL of a built-in CA over everything revoked and not expired. */
export async function issueRoleCrl(
  store: Store,
  issuer: Issuer,
  role: Role,
  now: number,
): Promise<void> {
  const id = await keyId(issuer.key.spki)
  const { number, rows, seen } = store.transaction(() => ({
    number: store.next(`crl-${role}`),
    rows: store.all<IssuedRow>(
      'SELECT i.*, r.reason FROM issued i LEFT JOIN revocation_reasons r ON r.serial = i.serial WHERE role = ? AND revoked IS NOT NULL AND not_after >= ?',
      role,
      now - DAY,
    ),
    seen: countRevoked(store, role),
  }))
  const revoked = rows.map((row) => ({
    serial: new Uint8Array(Buffer.from(row.serial, 'hex')),
    date: row.revoked!,
    ...(row.reason === null ? {} : { reason: row.reason }),
  }))
  const der = await issueCrl({
    issuer,
    number,
    thisUpdate: now - BACKDATE,
    nextUpdate: now + CRL_LIFETIME,
    revoked,
  })
  store.transaction(() => {
    storeCrl(store, id, number, der, now + CRL_LIFETIME)
    noteIssuer(store, id, role)
    store.set(listedName(id), seen)
  })
}

/** Issues a new CRL if something was revoked since the last one, or that one is a day old or of the future. Returns whether it did. */
export async function renewRoleCrl(
  store: Store,
  issuer: Issuer,
  role: Role,
  now: number,
): Promise<boolean> {
  const id = await keyId(issuer.key.spki)
  noteIssuer(store, id, role)
  const row = store.get<{ next_update: number }>(
    'SELECT next_update FROM crls WHERE issuer = ?',
    id,
  )
  const made = row === undefined ? null : row.next_update - CRL_LIFETIME
  // One that a clock made while it was ahead has not begun, and covers nothing until then.
  const fresh = made !== null && made + DAY > now && made - BACKDATE <= now
  if (fresh && store.counter(listedName(id)) === countRevoked(store, role)) return false
  try {
    await issueRoleCrl(store, issuer, role, now)
    return true
  } catch (error) {
    // Another instance was faster, with a higher number.
    if (isKeyferryError(error, 'ERR_ROLLBACK') || isKeyferryError(error, 'ERR_FORK')) return false
    throw error
  }
}

async function issue(
  store: Store,
  issuer: Issuer,
  role: Role,
  leaf: { spki: Bytes; commonName: string; uri: string; lifetime: number; isFirst?: boolean },
  now: number,
): Promise<Bytes> {
  const { spki, commonName, uri, lifetime, isFirst } = leaf
  const notAfter = now + lifetime
  const der = await issueLeaf({
    issuer,
    spki,
    commonName,
    uri,
    eku: [OID_CLIENT_AUTH],
    notBefore: now - BACKDATE,
    notAfter,
    random,
  })
  // What no path could hold is not handed out: a URI outside the CA's name constraint, a CA past its end.
  await validatePath({
    certificates: [der],
    anchors: [issuer.certificate],
    now,
    eku: [OID_CLIENT_AUTH],
    crls: 'unsafe-without-revocation',
  })
  const serial = hex(parseCertificate(der).serial)
  const id = await keyId(spki)
  store.transaction(() => {
    if (isDenied(store, id)) throw new KeyferryError('ERR_DENIED', 'this key was revoked')
    const other = 'SELECT 1 FROM issued WHERE role = ? AND uri = ? AND key_id <> ?'
    if (isFirst === true && store.get(other, role, uri, id) !== undefined)
      throw new KeyferryError('ERR_CONFLICT', 'another key was first')
    store.run(
      'INSERT INTO issued VALUES (?, ?, ?, ?, ?, NULL, ?, ?)',
      serial,
      role,
      uri,
      id,
      notAfter,
      now,
      spki,
    )
  })
  return der
}

/** A deriver's key with the certificate that the built-in CA issued. Seconds. */
export interface IssuedSigner<K extends AnySigningKey> {
  key: K
  certificates: Bytes[]
  renewAt: number
}

/** A new key and certificate for this deriver. The key exists in this process only. */
export async function issueDeriver(
  store: Store,
  issuer: Issuer,
  uri: string,
  now: number,
): Promise<IssuedSigner<SigningKey>> {
  return certifyDeriver(store, issuer, uri, now, await generateSigningKey(issuer.key.alg, false))
}

/** A certificate for a key of this deriver's, such as one in an HSM. Throws `ERR_DENIED` for a key that was revoked. */
export async function certifyDeriver<K extends AnySigningKey>(
  store: Store,
  issuer: Issuer,
  uri: string,
  now: number,
  key: K,
): Promise<IssuedSigner<K>> {
  const leaf = { spki: key.spki, commonName: 'deriver', uri, lifetime: DERIVER_LIFETIME }
  const certificate = await issue(store, issuer, 'deriver', leaf, now)
  return { key, certificates: [certificate], renewAt: now + DERIVER_LIFETIME / 2 }
}

/**
 * Issues a client certificate for a CSR (DER). The URI is the caller's, from its own session with the user, never the CSR's.
 * With `isFirst` only if no other key ever had the URI. Throws the codes of `parseCsr`, `ERR_DENIED` for a key that was revoked, `ERR_CONFLICT` where
 * another key was first, and the codes of `validatePath` for a URI that the CA may not name.
 */
export async function issueClient(
  store: Store,
  issuer: Issuer,
  csr: Bytes,
  uri: string,
  now: number,
  lifetime: number = 30 * DAY,
  isFirst = false,
): Promise<Bytes> {
  const { spki, commonName } = await parseCsr(csr)
  return issue(store, issuer, 'client', { spki, commonName, uri, lifetime, isFirst }, now)
}
