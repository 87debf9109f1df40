/** Requests that an administrator approved, granted from the key package that was kept (docs/PROTOCOL.md [request-4]): verified and decided anew. */
import { decodeEnvelope } from '../shared/envelope.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { requireRisingPackage, verifyKeyPackage } from '../shared/key-package.ts'
import { keyId } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parsedCrls } from './crls.ts'
import { lastPackage, saveDevice, savePackage, type DeviceRow } from './devices.ts'
import { joinKeyring, keyringsOf } from './members.ts'
import { putObject } from './objects.ts'
import { type PendingRow } from './pending.ts'
import { type PublishKeys } from './publish.ts'
import { hasChannel, prepareDevice } from './requests.ts'
import { keyringRow } from './rows.ts'
import { isGranted } from './rules.ts'
import { type Store } from './store.ts'
import { isNewestTrust } from './trust.ts'

/** Errors after which a kept request can never be granted. */
const HOPELESS = [
  'ERR_KEY_PACKAGE_STALE',
  'ERR_KEY_PACKAGE',
  'ERR_CERT_EXPIRED',
  'ERR_CERT_REVOKED',
]

async function grantKept(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  kept: PendingRow,
  now: number,
): Promise<boolean> {
  const crls = parsedCrls(store)
  const envelope = decodeEnvelope(new Uint8Array(kept.package))
  const keyPackage = await verifyKeyPackage(envelope, { trust, now, crls })
  const device = await keyId(keyPackage.path.spki)
  const prepared = await prepareDevice({ store, keys, trust, keyPackage, device })
  return keys.root.transaction(store, () => {
    if (!isNewestTrust(store, trust) || parsedCrls(store) !== crls) return false
    requireRisingPackage(keyPackage, lastPackage(store, device))
    const known = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', device)
    const isSame = prepared.made !== null || hasChannel(known, keyPackage)
    const ring = keyringRow(store, kept.keyring)
    if (!isSame || !isGranted(store, ring, prepared.row)) return false
    const row = prepared.made === null ? known! : prepared.row
    savePackage(store, device, keyPackage)
    if (prepared.made !== null) {
      saveDevice(store, row)
      putObject(store, prepared.made.welcome)
    }
    const deriving = { root: keys.root, tenant: trust.tenant }
    for (const id of [...keyringsOf(store, device), kept.keyring])
      joinKeyring(store, deriving, id, row, now)
    store.run('DELETE FROM pending WHERE id = ?', kept.id)
    return true
  })
}

/** Grants the requests that were kept and that rules cover by now. Returns what was granted. */
export async function grantApproved(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<{ uri: string; keyrings: string[] }[]> {
  const granted = []
  for (const kept of store.all<PendingRow>("SELECT * FROM pending WHERE state = 'approved'")) {
    try {
      if (!(await grantKept(store, keys, trust, kept, now))) continue
      granted.push({ uri: kept.uri, keyrings: [keyringRow(store, kept.keyring).name] })
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      if (HOPELESS.includes(error.code)) store.run('DELETE FROM pending WHERE id = ?', kept.id)
    }
  }
  return granted
}
