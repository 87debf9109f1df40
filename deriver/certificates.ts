/** Certificates and CRLs of the built-in CAs, and CRLs of others: what is issued, what is revoked, what is in force. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { checkCrl, parseCrl, type Crl } from '../shared/crl.ts'
import { parseCsr } from '../shared/csr.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { generateSigningKey, keyId } from '../shared/signature.ts'
import { parseAnchor, parseCertificate } from '../shared/x509.ts'
import { type Signer } from '../shared/http-signature.ts'
import { type Role } from '../shared/envelope.ts'
import { issueCrl, issueLeaf, type Issuer } from '../shared/issue.ts'
import { random } from './keyrings.ts'
import { appendLog } from './log.ts'
import { denyKey, isDenied, issuedPath, type DeviceRow } from './devices.ts'
import { markChanged, type Store } from './store.ts'

/** id-kp-clientAuth (RFC 5280 §4.2.1.12). */
export const OID_CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

const DAY = 86_400
/** Seconds: deriver certificates and CRLs of the built-in CA. */
const DERIVER_LIFETIME = 7 * DAY
const CRL_LIFETIME = 7 * DAY
/** Certificates begin a little earlier, for clocks that are late. */
const BACKDATE = 300

interface IssuedRow {
  serial: string
  role: Role
  uri: string
  key_id: Bytes
  not_after: number
  revoked: number | null
}

/** Takes a CRL into force. It must rise in number; equal bytes change nothing. Throws `ERR_ROLLBACK`, `ERR_FORK`. */
function storeCrl(
  store: Store,
  issuer: Bytes,
  number: number,
  der: Bytes,
  nextUpdate: number,
): boolean {
  const last = store.get<{ number: number; hash: Bytes }>(
    'SELECT number, hash FROM crls WHERE issuer = ?',
    issuer,
  )
  const hash = sha256(der)
  if (last !== undefined && equal(last.hash, hash)) return false
  if (last !== undefined && number < last.number)
    throw new KeyferryError('ERR_ROLLBACK', `CRL ${number} after ${last.number}`)
  if (last?.number === number)
    throw new KeyferryError('ERR_FORK', `two different CRLs have number ${number}`)
  store.run(
    'INSERT INTO crls VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (issuer) DO UPDATE SET number = ?2, hash = ?3, der = ?4, next_update = ?5',
    issuer,
    number,
    hash,
    der,
    nextUpdate,
  )
  markChanged(store)
  return true
}

/** Issues the next CRL of a built-in CA over everything revoked and not expired. */
export async function issueRoleCrl(
  store: Store,
  issuer: Issuer,
  role: Role,
  now: number,
): Promise<void> {
  const { number, rows, seen } = store.transaction(() => ({
    number: store.next(`crl-${role}`),
    rows: store.all<IssuedRow>(
      'SELECT * FROM issued WHERE role = ? AND revoked IS NOT NULL AND not_after >= ?',
      role,
      now - DAY,
    ),
    seen: store.counter(`revocation-${role}`),
  }))
  const revoked = rows.map((row) => ({
    serial: new Uint8Array(Buffer.from(row.serial, 'hex')),
    date: row.revoked!,
  }))
  const der = await issueCrl({
    issuer,
    number,
    thisUpdate: now - BACKDATE,
    nextUpdate: now + CRL_LIFETIME,
    revoked,
  })
  const id = await keyId(issuer.key.spki)
  store.transaction(() => {
    storeCrl(store, id, number, der, now + CRL_LIFETIME)
    store.set(`listed-${role}`, seen)
  })
}

/** Issues a new CRL if something was revoked since the last one or that one is a day old. Returns whether it did. */
export async function renewRoleCrl(
  store: Store,
  issuer: Issuer,
  role: Role,
  now: number,
): Promise<boolean> {
  const row = store.get<{ next_update: number }>(
    'SELECT next_update FROM crls WHERE issuer = ?',
    await keyId(issuer.key.spki),
  )
  const fresh = row !== undefined && row.next_update - CRL_LIFETIME + DAY > now
  if (fresh && store.counter(`listed-${role}`) === store.counter(`revocation-${role}`)) return false
  try {
    await issueRoleCrl(store, issuer, role, now)
    return true
  } catch (error) {
    // Another instance was faster, with a higher number.
    if (isKeyferryError(error, 'ERR_ROLLBACK') || isKeyferryError(error, 'ERR_FORK')) return false
    throw error
  }
}

/** Takes in a CRL of a CA that the trust document anchors, or that a stored path names as issuer. Throws `ERR_CRL`, `ERR_ROLLBACK`. */
export async function importCrl(
  store: Store,
  der: Bytes,
  issuers: readonly Bytes[],
  now: number,
): Promise<boolean> {
  const crl = parseCrl(der)
  let cause: unknown
  for (const certificate of issuers) {
    const issuer = parseAnchor(certificate)
    if (!equal(issuer.subject, crl.issuer)) continue
    try {
      const checked = await checkCrl(crl, issuer, now)
      return store.transaction(() =>
        storeCrl(store, checked.issuerKeyId, checked.number, der, checked.nextUpdate),
      )
    } catch (error) {
      // A CA that renewed its key has the same name twice.
      if (!isKeyferryError(error, 'ERR_CRL')) throw error
      cause = error
    }
  }
  throw new KeyferryError('ERR_CRL', 'no CA that the trust document names has signed it', { cause })
}

/** CRLs in force, parsed once for as long as they stay the same. */
export function parsedCrls(store: Store): readonly Crl[] {
  const rows = store.all<{ hash: Bytes; der: Bytes }>('SELECT hash, der FROM crls ORDER BY issuer')
  const known = parsed.get(store)
  const tag = rows.map(({ hash }) => hex(hash)).join()
  if (known?.tag === tag) return known.crls
  const crls = rows.map(({ der }) => parseCrl(new Uint8Array(der)))
  parsed.set(store, { tag, crls })
  return crls
}

const parsed = new WeakMap<Store, { tag: string; crls: readonly Crl[] }>()

async function issue(
  store: Store,
  issuer: Issuer,
  role: Role,
  leaf: { spki: Bytes; commonName: string; uri: string; lifetime: number },
  now: number,
): Promise<Bytes> {
  const { spki, commonName, uri, lifetime } = leaf
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
  const serial = hex(parseCertificate(der).serial)
  const id = await keyId(spki)
  store.transaction(() => {
    if (isDenied(store, id)) throw new KeyferryError('ERR_DENIED', 'this key was revoked')
    store.run('INSERT INTO issued VALUES (?, ?, ?, ?, ?, NULL)', serial, role, uri, id, notAfter)
  })
  return der
}

/** A new key and certificate for this deriver. The key exists in this process only. */
export async function issueDeriver(
  store: Store,
  issuer: Issuer,
  uri: string,
  now: number,
): Promise<Signer & { renewAt: number }> {
  const key = await generateSigningKey(issuer.key.alg, false)
  const leaf = { spki: key.spki, commonName: 'deriver', uri, lifetime: DERIVER_LIFETIME }
  const certificate = await issue(store, issuer, 'deriver', leaf, now)
  return { key, certificates: [certificate], renewAt: now + DERIVER_LIFETIME / 2 }
}

/**
 * Issues a client certificate for a CSR (DER). The URI is the caller's, from its own session with the user, never the CSR's.
 * Throws the codes of `parseCsr`, and `ERR_DENIED` for a key that was revoked.
 */
export async function issueClient(
  store: Store,
  issuer: Issuer,
  csr: Bytes,
  uri: string,
  now: number,
  lifetime: number = 30 * DAY,
): Promise<Bytes> {
  const { spki, commonName } = await parseCsr(csr)
  return issue(store, issuer, 'client', { spki, commonName, uri, lifetime }, now)
}

/**
 * Revokes a client's URI: every unexpired certificate goes on the next CRL, and every key that ever had the URI is denied for good, here and at
 * enrolment. Returns how many certificates and keys. Throws `ERR_NOT_FOUND` where there is none.
 */
export function revokeClient(
  store: Store,
  uri: string,
  now: number,
): { certificates: number; keys: number } {
  return store.transaction(() => {
    const keys = store.all<{ key_id: Bytes }>(
      "SELECT key_id FROM issued WHERE role = 'client' AND uri = ?1 UNION SELECT key_id FROM devices WHERE uri = ?1",
      uri,
    )
    const fresh = keys.filter(({ key_id }) => !isDenied(store, key_id))
    if (fresh.length === 0) throw new KeyferryError('ERR_NOT_FOUND', `nothing to revoke for ${uri}`)
    let certificates = 0
    for (const { key_id } of fresh) {
      denyKey(store, key_id, uri, now)
      const serials = store.all<{ serial: string }>(
        "SELECT serial FROM issued WHERE role = 'client' AND key_id = ? AND revoked IS NULL AND not_after >= ?",
        key_id,
        now,
      )
      for (const { serial } of serials) {
        store.run('UPDATE issued SET revoked = ? WHERE serial = ?', now, serial)
        appendLog(store, 'certificate-revoked', now, { serial, uri })
        certificates++
      }
    }
    store.next('revocation-client')
    markChanged(store)
    return { certificates, keys: fresh.length }
  })
}

/**
 * Devices that are to leave: their key was denied, a CRL in force lists a certificate of their path, or their time is over ([deriver-4]).
 * Listed keys are denied for good. Call it in a transaction.
 */
export function leavingDevices(
  store: Store,
  issuers: ReadonlyMap<string, Crl>,
  now: number,
): DeviceRow[] {
  const devices = store.all<DeviceRow>(
    'SELECT * FROM devices WHERE key_id IN (SELECT device FROM members)',
  )
  return devices.filter((device) => {
    // PROTOCOL [deriver-4]
    const isListed = issuedPath(device).some(({ certificate, issuer }) =>
      issuers.get(hex(issuer))?.revoked.has(hex(parseCertificate(certificate).serial)),
    )
    if (isListed) denyKey(store, device.key_id, device.uri, now)
    return isListed || device.expires < now || isDenied(store, device.key_id)
  })
}

/** Devices whose package or path ended. Cheap: for every look at which no list and no denial changed. */
export function expiredDevices(store: Store, now: number): DeviceRow[] {
  return store.all<DeviceRow>(
    'SELECT * FROM devices WHERE expires < ? AND key_id IN (SELECT device FROM members)',
    now,
  )
}

/** CRLs in force by the key id of their issuer, in hex. */
export function crlsByIssuer(store: Store): Map<string, Crl> {
  const rows = store.all<{ issuer: Bytes }>('SELECT issuer FROM crls ORDER BY issuer')
  const crls = parsedCrls(store)
  return new Map(rows.map(({ issuer }, i) => [hex(issuer), crls[i]!]))
}
