/** What a keyring asks of its client. */
import { type Accepted, type KeyringView } from '../shared/open.ts'
import { type SenderHost } from './senders.ts'
import { type KeyringState } from './state.ts'
import { type OpenKeyring } from './unlocked.ts'

/** A keyring's keys and what they stand under; `isCurrent` if that is the accepted head. */
export interface Found {
  open: OpenKeyring
  accepted: Accepted
  isCurrent: boolean
}

/** What a keyring asks of its client. */
export interface KeyringHost {
  /** Throws `ERR_CLOSED`, `ERR_STATE`, `ERR_CLOCK`. */
  open: () => Promise<Found>
  /** The keyring as it was last shown. Throws `ERR_CLOSED`, `ERR_STATE`. */
  view: () => KeyringView
  /** Resolves when no fetch is on its way. */
  settled: () => Promise<void>
  /** Takes over what another tab has stored; true if there was something. */
  sync: () => Promise<boolean>
  /** Fetches once more, if that was not done just now. */
  catchUp: () => Promise<void>
  /** Throws `ERR_CERT_REVOKED` for a client with a revoked certificate. */
  requireUnrevoked: () => void
  state: () => KeyringState
  reason: () => string
  /** The version to encrypt with; 0 for none. */
  version: () => number
  /** Seconds. */
  now: () => number
  /** What signatures need. */
  sender: Omit<SenderHost, 'known' | 'now'>
}
