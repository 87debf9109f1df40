/** The end of a client: what its revocation denies, and which devices have to leave. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { type Crl } from '../shared/crl.ts'
import { KeyferryError } from '../shared/errors.ts'
import { parseCertificate } from '../shared/x509.ts'
import { denyKey, isDenied, issuedPath, type DeviceRow } from './devices.ts'
import { appendLog } from './log.ts'
import { markChanged, type Store } from './store.ts'

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
