/** What is due by time or by revocation: CRLs, departures, rotations, generations. Needs no relay. */
import { hex } from '../shared/bytes.ts'
import { renewRoleCrl, type BuiltInCas } from './ca.ts'
import { crlsByIssuer } from './crls.ts'
import { expiredDevices, leavingDevices } from './revocation.ts'
import { mayStay, type DeviceRow } from './devices.ts'
import { keepRevocationsWhole } from './finish-revocations.ts'
import { removeDevices, renewGeneration, type Deriving } from './members.ts'
import { pruneObjects } from './objects.ts'
import { forgetPending } from './pending.ts'
import { finishRekeys } from './rekey.ts'
import { forgetRequests } from './requests.ts'
import { type KeyringRow } from './rows.ts'
import { isGranted } from './rules.ts'
import { rotateDue } from './schedule.ts'
import { type Store } from './store.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { findUnadmitted, isCheckDue, stillUnadmitted } from './unadmitted.ts'

/** What was done. */
export type MaintenanceEvent =
  | { type: 'revoked'; devices: number; keyrings: number }
  | { type: 'unadmitted'; devices: number; keyrings: number }
  | { type: 'rotated'; keyrings: string[] }
  | { type: 'uncovered'; devices: number; keyring: string }
  | { type: 'rekeyed'; uris: string[]; keyrings: string[] }

/** Seconds between two looks for devices whose time is over, when no revocation list and no denial changed. */
const LOOK_AGAIN = 60

/** Makes the function that does what is due under the newest trust document. `now` in seconds. */
export function createMaintenance(
  store: Store,
  deriving: Deriving,
  issuers: BuiltInCas,
  report: (event: MaintenanceEvent) => void,
): (now: number, trust: TrustDocument) => Promise<void> {
  let seen = ''
  let lookedAt = 0
  /** When members were last looked at in vain, because a list was missing, and under which trust document. */
  let checked = { at: 0, under: 0 }

  async function removeLeaving(now: number): Promise<void> {
    const crls = store.all<{ hash: Uint8Array }>('SELECT hash FROM crls ORDER BY issuer')
    const { n } = store.get<{ n: number }>('SELECT count(*) AS n FROM denied')!
    const tag = `${n} ${crls.map(({ hash }) => hex(hash)).join()}`
    const isSame = tag === seen
    if (isSame && now < lookedAt + LOOK_AGAIN) return
    const left = await deriving.root.transaction(store, () => {
      const devices = isSame
        ? expiredDevices(store, now)
        : leavingDevices(store, crlsByIssuer(store), now)
      if (devices.length === 0) return null
      const keyrings = removeDevices(store, deriving, devices, now)
      return { devices: devices.length, keyrings }
    })
    if (left !== null) report({ type: 'revoked', ...left })
    seen = tag
    lookedAt = now
  }

  // PROTOCOL [deriver-5]
  async function removeUnadmitted(trust: TrustDocument, now: number): Promise<void> {
    const { number } = trust.body
    const isEarly = number === checked.under && now < checked.at + LOOK_AGAIN
    if (!isCheckDue(store, trust) || isEarly) return
    const found = await findUnadmitted(store, trust, now)
    const left = await deriving.root.transaction(store, () => {
      const devices = stillUnadmitted(store, found, trust)
      if (devices.length === 0) return null
      const keyrings = removeDevices(store, deriving, devices, now)
      return { devices: devices.length, keyrings }
    })
    if (left !== null) report({ type: 'unadmitted', ...left })
    checked = { at: now, under: number }
  }

  /** Members whom no rule covers any more leave. */
  async function removeUncovered(now: number): Promise<void> {
    for (const row of store.all<KeyringRow>('SELECT * FROM keyrings WHERE rules_checked = 0')) {
      const left = await deriving.root.transaction(store, () => {
        const members = store.all<DeviceRow>(
          'SELECT d.* FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ?',
          row.id,
        )
        const leaving = new Set(
          members.filter((one) => !isGranted(store, row, one)).map((one) => hex(one.key_id)),
        )
        store.run('UPDATE keyrings SET rules_checked = 1 WHERE id = ?', row.id)
        if (leaving.size > 0)
          renewGeneration(store, deriving, row.id, now, (one) => !leaving.has(hex(one.key_id)))
        return leaving.size
      })
      if (left > 0) report({ type: 'uncovered', devices: left, keyring: row.name })
    }
  }

  /** A generation under another root than the present one is renewed at once: that is how a migration goes on. */
  async function renewGenerations(now: number): Promise<void> {
    const due = store.all<KeyringRow>(
      `SELECT k.* FROM keyrings k JOIN generations g ON g.keyring = k.id AND g.generation = k.generation
       WHERE g.made + k.generation_max_age < ? OR g.root <> ?`,
      now,
      store.counter('root'),
    )
    for (const { id } of due) {
      await deriving.root.transaction(store, () => {
        renewGeneration(store, deriving, id, now, (device) => mayStay(store, device, now))
      })
    }
  }

  return async (now, trust) => {
    keepRevocationsWhole(store)
    for (const role of ['deriver', 'client'] as const) {
      const issuer = issuers[role]
      if (issuer !== undefined) await renewRoleCrl(store, issuer, role, now)
    }
    for (const { role, issuer } of issuers.replaced ?? [])
      await renewRoleCrl(store, issuer, role, now)
    await removeLeaving(now)
    await removeUnadmitted(trust, now)
    await removeUncovered(now)
    const rotated = rotateDue(store, now, trust.body.headLifetime + trust.body.skew)
    if (rotated.length > 0) report({ type: 'rotated', keyrings: rotated })
    const rekeyed = await finishRekeys(store, deriving, now)
    if (rekeyed.uris.length > 0) report({ type: 'rekeyed', ...rekeyed })
    await renewGenerations(now)
    forgetRequests(store, now)
    forgetPending(store, now)
    pruneObjects(store)
  }
}
