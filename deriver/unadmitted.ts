/** Members whom the newest trust document no longer admits: of a CA that it dropped, or under a rule that it changed. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { rememberSignatures } from '../shared/certificate-signature.ts'
import { decodeEnvelope, verifyRole } from '../shared/envelope.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { encodeJson } from '../shared/json.ts'
import { decodeTrust, type TrustDocument } from '../shared/trust.ts'
import { parsedCrls } from './crls.ts'
import { issuedPath, type DeviceRow } from './devices.ts'
import { type Store } from './store.ts'
import { isNewestTrust } from './trust.ts'

const MEMBERS = 'SELECT * FROM devices WHERE key_id IN (SELECT device FROM members)'

/** Number of the newest trust document under which every member was looked at. */
const CHECKED = 'members-trust'

/** What the look at the members found. `isComplete` is false while a list of a CA is missing. */
export interface Unadmitted {
  devices: DeviceRow[]
  isComplete: boolean
}

/** What of a trust document says who is admitted. */
function rolesOf(envelope: Bytes): Bytes {
  const { clients, derivers } = decodeTrust(decodeEnvelope(new Uint8Array(envelope)))
  return encodeJson({ clients, derivers })
}

/**
 * Whether the members have to be looked at, because a newer trust document says otherwise who is admitted. With many members that takes a minute or more, in
 * which nothing else is done: one that changes relays alone costs nothing.
 */
export function isCheckDue(store: Store, { body }: TrustDocument): boolean {
  const checked = store.counter(CHECKED)
  if (checked >= body.number) return false
  const sql = 'SELECT envelope FROM trust WHERE number BETWEEN ? AND ?'
  const rows = store.all<{ envelope: Bytes }>(sql, checked, body.number)
  const [first, ...later] = rows.map(({ envelope }) => rolesOf(envelope))
  // Those in between, too: members may have come under one of them.
  if (checked === 0 || !later.every((roles) => equal(roles, first!))) return true
  store.set(CHECKED, body.number)
  return false
}

/**
 * Looks at every member's path under a trust document. What lists and clocks say is not asked here: that is the matter of `leavingDevices`, which denies
 * keys, and a CA whose list is late loses nobody a membership.
 */
export async function findUnadmitted(
  store: Store,
  trust: TrustDocument,
  now: number,
): Promise<Unadmitted> {
  const found: Unadmitted = { devices: [], isComplete: true }
  // What the members have in common, lists above all, is checked once.
  const verify = rememberSignatures()
  const crls = parsedCrls(store)
  const context = { trust: trust.body, role: 'client', now, crls, verify } as const
  for (const device of store.all<DeviceRow>(MEMBERS)) {
    const certificates = issuedPath(device).map(({ certificate }) => certificate)
    try {
      await verifyRole(certificates, context)
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      if (error.code === 'ERR_CERT_REVOKED' || error.code === 'ERR_CERT_EXPIRED') continue
      if (error.code === 'ERR_CRL') found.isComplete = false
      else found.devices.push(device)
    }
  }
  return found
}

/**
 * Of what was found, what still has the same certificates: one that came back meanwhile with others stays, and everyone does where a newer trust document
 * came, which may admit them again. Call it in a transaction.
 */
export function stillUnadmitted(
  store: Store,
  { devices, isComplete }: Unadmitted,
  trust: TrustDocument,
): DeviceRow[] {
  if (!isNewestTrust(store, trust)) return []
  if (isComplete) store.set(CHECKED, trust.body.number)
  return devices.filter((device) => {
    const sql = 'SELECT certificates FROM devices WHERE key_id = ?'
    const row = store.get<{ certificates: Bytes }>(sql, device.key_id)
    return row !== undefined && equal(row.certificates, device.certificates)
  })
}
