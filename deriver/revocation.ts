/** The end of a client: what its revocation denies, and which devices have to leave. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { type Crl } from '../shared/crl.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type RevokedEntry } from '../shared/issue.ts'
import { keyId } from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { denyKey, isDenied, issuedPath, type DeviceRow } from './devices.ts'
import { serialText } from './lenient-certificate.ts'
import { appendLog } from './log.ts'
import { keyringsOf } from './members.ts'
import { markChanged, type Store } from './store.ts'

/** What a revocation did. */
export interface Revoked {
  uris: string[]
  /** Certificates that go on the next CRL of the built-in CA. */
  certificates: number
  /** Keys that are denied for good. */
  keys: number
  /** Names of keyrings that are re-keyed. */
  keyrings: string[]
  /** Certificates of other CAs, whose lists have to name them: key id of the issuer and serial, in hex. */
  foreign: { issuer: string; serial: string; uri: string }[]
}

interface Target {
  key_id: Bytes
  uri: string
}

const TARGETS =
  "SELECT key_id, uri FROM issued WHERE role = 'client' UNION SELECT key_id, uri FROM devices"

function notFound(what: string): KeyferryError {
  return new KeyferryError('ERR_NOT_FOUND', `nothing to revoke for ${what}`)
}

/** Every key of the URI, with every other URI that it has: a key is denied whole. */
function byUri(store: Store, uri: string): Target[] {
  return store.all<Target>(
    `SELECT key_id, uri FROM (${TARGETS}) WHERE key_id IN (SELECT key_id FROM (${TARGETS}) WHERE uri = ?)`,
    uri,
  )
}

function byDevice(store: Store, prefix: string): Target[] {
  if (!/^[0-9a-f]{8,64}$/.test(prefix))
    throw new KeyferryError('ERR_USAGE', 'a device is named by 8 to 64 digits of its key id')
  const found = store.all<Target>(
    `SELECT key_id, uri FROM (${TARGETS}) WHERE lower(hex(key_id)) LIKE ? || '%'`,
    prefix,
  )
  if (new Set(found.map((one) => hex(one.key_id))).size > 1)
    throw new KeyferryError('ERR_USAGE', `several keys begin with ${prefix}: give more digits`)
  return found
}

/** A certificate of a client with the key id of the CA that issued it, by its own word. */
interface Known extends Target {
  serial: string
  issuer: Bytes
  notAfter: number
}

function knownOf(certificate: Bytes, issuer: Bytes, target: Target): Known {
  const { serial, notAfter } = parseCertificate(certificate)
  return { ...target, serial: hex(serial), issuer, notAfter }
}

/** Certificates that came with key packages: those of other CAs, and those issued after the backup that the database was restored from. */
function fromPackages(store: Store, { key_id, uri }: Target): Known[] {
  const device = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', key_id)
  const leaf = device === undefined ? undefined : issuedPath(device)[0]
  return leaf === undefined ? [] : [knownOf(leaf.certificate, leaf.issuer, { key_id, uri })]
}

/** The key id in the list of issuers that an authority key identifier begins; empty if it is of none. */
function issuerOf(store: Store, authorityKeyId: Bytes | undefined): Bytes {
  const own = store.all<{ key_id: Bytes }>('SELECT key_id FROM own_issuers')
  const found = own.find(
    ({ key_id }) => authorityKeyId && equal(key_id.slice(0, authorityKeyId.length), authorityKeyId),
  )
  return new Uint8Array(found?.key_id ?? authorityKeyId ?? [])
}

/**
 * Revokes a client's URI: every unexpired certificate of every key that ever had it goes on the next CRL of the built-in CA, and the keys are
 * denied for good, here and at enrolment. What a customer's own CA issued is named in the answer, for that CA to list.
 * Throws `ERR_NOT_FOUND` where there is nothing to revoke.
 */
export function revokeClient(
  store: Store,
  uri: string,
  now: number,
  reason?: RevokedEntry['reason'],
): Revoked {
  return revoke(store, byUri(store, uri), [], uri, now, reason)
}

/** Revokes one device, named by the first digits of its key id in hex. Throws `ERR_NOT_FOUND`, and `ERR_USAGE` where several begin so. */
export function revokeDevice(
  store: Store,
  prefix: string,
  now: number,
  reason?: RevokedEntry['reason'],
): Revoked {
  return revoke(store, byDevice(store, prefix), [], `device ${prefix}`, now, reason)
}

/** Revokes a client's certificate (DER), and denies its key, known here or not. Throws `ERR_USAGE` for one that is no client's. */
export async function revokeCertificate(
  store: Store,
  certificate: Bytes,
  now: number,
  reason?: RevokedEntry['reason'],
): Promise<Revoked> {
  const { spki, uris, authorityKeyId, isCa } = parseCertificate(certificate)
  const [uri] = uris
  if (uri === undefined || isCa)
    throw new KeyferryError('ERR_USAGE', 'not the certificate of a client')
  const target = { key_id: await keyId(spki), uri }
  const issuer = issuerOf(store, authorityKeyId)
  const isDeriver =
    store.get("SELECT 1 FROM own_issuers WHERE role = 'deriver' AND key_id = ?", issuer) ??
    store.get("SELECT 1 FROM issued WHERE role = 'deriver' AND key_id = ?", target.key_id)
  if (isDeriver !== undefined)
    throw new KeyferryError('ERR_USAGE', 'the certificate of a deriver, not of a client')
  return revoke(store, [target], [knownOf(certificate, issuer, target)], uri, now, reason)
}

function revoke(
  store: Store,
  targets: readonly Target[],
  given: readonly Known[],
  what: string,
  now: number,
  reason: RevokedEntry['reason'],
): Revoked {
  return store.transaction(() => {
    const keys = new Map(targets.map((one) => [hex(one.key_id), one]))
    const fresh = [...keys.values()].filter(({ key_id }) => !isDenied(store, key_id))
    const known = [...given, ...targets.flatMap((target) => fromPackages(store, target))]
    const foreign = new Map<string, Revoked['foreign'][number]>()
    for (const { key_id, serial, issuer, uri, notAfter } of known) {
      const own = store.get(
        "SELECT 1 FROM own_issuers WHERE key_id = ? AND role = 'client'",
        issuer,
      )
      if (own !== undefined) {
        store.run(
          "INSERT OR IGNORE INTO issued VALUES (?, 'client', ?, ?, ?, NULL, ?, X'')",
          serial,
          uri,
          key_id,
          notAfter,
          now,
        )
      } else if (notAfter >= now) {
        foreign.set(hex(issuer) + serial, { issuer: hex(issuer), serial: serialText(serial), uri })
      }
    }
    let certificates = 0
    const keyrings = new Set<string>()
    for (const { key_id, uri } of keys.values()) {
      denyKey(store, key_id, uri, now)
      for (const id of keyringsOf(store, key_id)) {
        const row = store.get<{ name: string }>('SELECT name FROM keyrings WHERE id = ?', id)
        keyrings.add(row!.name)
      }
      const serials = store.all<{ serial: string }>(
        "SELECT serial FROM issued WHERE role = 'client' AND key_id = ? AND revoked IS NULL AND not_after >= ?",
        key_id,
        now,
      )
      for (const { serial } of serials) {
        store.run('UPDATE issued SET revoked = ? WHERE serial = ?', now, serial)
        if (reason !== undefined)
          store.run('INSERT OR REPLACE INTO revocation_reasons VALUES (?, ?)', serial, reason)
        appendLog(store, 'certificate-revoked', now, { serial, uri })
        certificates++
      }
    }
    // Of a customer's CA the serials can be asked for again.
    if (fresh.length === 0 && certificates === 0 && foreign.size === 0) throw notFound(what)
    markChanged(store)
    return {
      uris: [...new Set(targets.map(({ uri }) => uri))].toSorted(),
      certificates,
      keys: fresh.length,
      keyrings: [...keyrings].toSorted(),
      foreign: [...foreign.values()],
    }
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
