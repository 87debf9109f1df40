/** Rows of keyrings and versions in the deriver's database. */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringKind } from '../shared/manifest.ts'
import { type Store } from './store.ts'

/** A row of `keyrings`. */
export interface KeyringRow {
  id: Bytes
  name: string
  kind: KeyringKind
  rules: string
  offline: number
  generation_max_age: number
  cryptoperiod: number
  decrypt_period: number
  number: number
  generation: number
  encrypt_incarnation: number
  encrypt_version: number
  dirty: number
  manifest: Bytes | null
  bundle: Bytes | null
  release: Bytes | null
  members_index: Bytes | null
  members_root: Bytes | null
  members_size: number
  /** The deriver's own rules, as `rules`: a cell takes both. */
  policy: string
  /** 1 where requests that no rule covers wait for an administrator. */
  approvals: number
  /** 0 while members have to be held against changed rules. */
  rules_checked: number
  /** Seconds: when a person wants the next version to take over, earlier than by itself; `null` for by itself. */
  rotate_at: number | null
}

/**
 * What was decided on a version, beyond its windows: `active` is one that was encrypted under at some time, `skipped` one that never is, although members may
 * have had it.
 */
export type VersionState =
  'pre-active' | 'active' | 'deactivated' | 'compromised' | 'skipped' | 'destroying' | 'destroyed'

/** A row of `versions`. */
export interface VersionRow {
  keyring: Bytes
  incarnation: number
  version: number
  algorithm: number
  nonce: Bytes
  salt: Bytes
  key_id: Bytes | null
  encrypt_from: number
  encrypt_until: number
  decrypt_until: number
  state: VersionState
  /** Number of the root that its secret comes from. */
  root: number
  /** Imported bytes, sealed under its secret; where there are none, none were imported. */
  sealed: Bytes | null
  /** 1 once a manifest with it was signed. */
  committed: number
  /** 1 once a bundle holds or held it. */
  bundled: number
  /** Seconds; 0 before it was first encrypted under. */
  activated: number
}

/** The keyring of this name. Throws `ERR_NOT_FOUND`. */
export function findKeyring(store: Store, name: string): KeyringRow {
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE name = ?', name)
  if (row === undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `no keyring ${JSON.stringify(name)}`)
  return row
}

/** The keyring of this id, which is there. */
export function keyringRow(store: Store, id: Bytes): KeyringRow {
  return store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)!
}
