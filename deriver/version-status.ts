/** How versions stand, by the states of SP 800-57, for `keyring show` and `status`. */
import { hex } from '../shared/bytes.ts'
import { destructionEnd } from '../shared/destruction.ts'
import { listDestructions, type DestructionRow } from './destroy.ts'
import { keyringRow, type KeyringRow, type VersionRow } from './rows.ts'
import { type Store } from './store.ts'

/** States of SP 800-57-1. A version whose salts are not gone for certain is never called destroyed. */
export type KeyState = 'pre-active' | 'active' | 'deactivated' | 'compromised' | 'destroyed'

/** A version as people are shown it. Times are seconds. */
export interface VersionStatus {
  incarnation: number
  version: number
  /** Hex; empty before it is published. */
  keyId: string
  state: KeyState
  /** What the state does not say, in words; may be empty. */
  note: string
  /** From when on nobody has it, of one that is being destroyed. */
  destroyedFrom: number | null
  encryptUntil: number
  decryptUntil: number
  isCommitted: boolean
  /** Whether clients have been given it. */
  isBundled: boolean
}

function keyState(ring: KeyringRow, row: VersionRow, now: number): KeyState {
  const isEncrypting =
    ring.encrypt_incarnation === row.incarnation && ring.encrypt_version === row.version
  switch (row.state) {
    case 'pre-active':
      return row.encrypt_until <= now ? 'deactivated' : 'pre-active'
    case 'active':
      return isEncrypting && now <= row.encrypt_until ? 'active' : 'deactivated'
    case 'skipped':
    case 'compromised':
      return 'compromised'
    case 'deactivated':
    case 'destroying':
      return 'deactivated'
    case 'destroyed':
      return 'destroyed'
  }
}

/** How far a destruction is; what it says of a date holds if `keyferry run` is up. */
export interface DestructionStatus {
  /** `notes@3`. */
  version: string
  phase: 'ordered' | 'erased' | 'destroyed'
  ordered: number
  /** Seconds: from then on nobody has it. */
  completes: number
  /** The signed record, as text; `null` before it is destroyed. */
  record: string | null
}

function destructionStatus(
  store: Store,
  row: DestructionRow,
  skew: number,
  now: number,
): DestructionStatus {
  const isErased = row.erased > 0 && row.scrubbed === 1
  const phase = row.record !== null ? 'destroyed' : isErased ? 'erased' : 'ordered'
  return {
    version: `${keyringRow(store, row.keyring).name}@${row.version}`,
    phase,
    ordered: row.ordered,
    completes: row.erased > 0 ? row.completes : destructionEnd(now, row.retention, skew),
    record: row.record === null ? null : new TextDecoder().decode(row.record),
  }
}

/** All destructions. */
export function destructionStatuses(store: Store, skew: number, now: number): DestructionStatus[] {
  return listDestructions(store).map((row) => destructionStatus(store, row, skew, now))
}

/** All versions of a keyring, oldest first. */
export function versionStatuses(
  store: Store,
  ring: KeyringRow,
  skew: number,
  now: number,
): VersionStatus[] {
  const destructions = new Map(
    destructionStatuses(store, skew, now).map((one) => [one.version, one]),
  )
  const destroyedFrom = ({ state, version }: VersionRow): number | null =>
    state === 'destroying' ? (destructions.get(`${ring.name}@${version}`)?.completes ?? null) : null
  return store
    .all<VersionRow>(
      'SELECT * FROM versions WHERE keyring = ? ORDER BY incarnation, version',
      ring.id,
    )
    .map((row) => ({
      incarnation: row.incarnation,
      version: row.version,
      keyId: row.key_id === null ? '' : hex(row.key_id),
      state: keyState(ring, row, now),
      note:
        row.state === 'skipped'
          ? 'never used: a member who left may have had it, or its root or import was replaced'
          : '',
      destroyedFrom: destroyedFrom(row),
      encryptUntil: row.encrypt_until,
      decryptUntil: row.decrypt_until,
      isCommitted: row.committed === 1,
      isBundled: row.bundled === 1,
    }))
}
