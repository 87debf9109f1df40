/** A keyring that an app wants, and the deriver's word on it. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { type Keyring } from './keyring.ts'
import { type KeyringState } from './state.ts'
import { type StoredRefusal, type StoredState } from './store.ts'

/** Seconds after which an unanswered request is made again; it lives for 600. */
export const ASK_AGAIN: number = 540

/** A keyring that the app wants. */
export interface Wanted {
  id: Bytes
  keyring: Keyring
  /** As listeners were last told. */
  state: KeyringState
  version: number
  /** Seconds until which a request is out. */
  askedUntil: number
  /** Ask although the last request was denied. */
  askAnew: boolean
}

/** The deriver's word that puts a keyring in the state it is in; `null` if none does. */
export function refusalOf(
  { keyrings }: StoredState,
  id: Bytes,
  state: KeyringState,
): StoredRefusal | null {
  const refusal = keyrings[hex(id)]?.refusal ?? null
  return refusal?.kind === state ? refusal : null
}
