/**
 * What a client keeps, and where. A store is trusted like the device itself: whoever can write it can make the client go back, whoever can read
 * it has what the client has (browsers keep keys unreadable even then; see the file store for Node).
 */
import type { TreeHead } from '../shared/tree.ts'
import { type MemberLeaf } from '../shared/bundle.ts'
import { type Bytes } from '../shared/bytes.ts'
import { type Envelope } from '../shared/envelope.ts'
import { type ErrorCode, type KeyferryError } from '../shared/errors.ts'
import type { RecipientKey } from '../shared/hpke.ts'
import { type Accepted } from '../shared/open.ts'
import { type SigningKey } from '../shared/signature.ts'
import type { RefusalKind } from './refusal.ts'

/** A key package with its private key. Times are seconds. */
export interface StoredPackage {
  /** Document hash of the envelope: the package hash. */
  hash: Bytes
  envelope: Envelope
  version: number
  /** 0 where the deriver wants it replaced. */
  issuedAt: number
  expiresAt: number
  /** Fingerprint of the certificate that signed it; the welcome is bound to it. */
  fingerprint: Bytes
  key: RecipientKey
  /** The channel, once a welcome was opened. Without `key`, it is opened from the welcome again. */
  channel: { key: CryptoKey | null; id: Bytes; welcome: Bytes; welcomeHash: Bytes } | null
}

/** A keyring as the last delivery that had it showed it: all of it verified, its keys wrapped. */
export interface StoredView {
  release: Bytes
  manifest: Bytes
  manifestHash: Bytes
  bundle: Bytes
  bundleHash: Bytes
  member: MemberLeaf
  slot: number
  /** The tree of members that the leaf is of. */
  members?: TreeHead | undefined
  /** The head it stood under; seconds. */
  head: { incarnation: number; version: number; expiresAt: number }
}

/** A verified refusal. Times are seconds. */
export interface StoredRefusal {
  kind: RefusalKind
  reason: string
  issuedAt: number
  expiresAt: number
}

/** What is known of one keyring. */
export interface StoredKeyring {
  /** 16 bytes. */
  id: Bytes
  view: StoredView | null
  /** Nonces of the newest key requests: answers to others do not count. */
  nonces: Bytes[]
  refusal: StoredRefusal | null
}

/** A revocation list that an accepted head named, to verify senders with. */
export interface StoredList {
  /** Key id of its issuer. */
  issuer: Bytes
  hash: Bytes
  der: Bytes
}

/** That the CA revoked a certificate of this client. */
export interface StoredRevocation {
  /** DER of the certificate: of another one it says nothing. */
  certificate: Bytes
  /** Hash of the list that proved it. */
  list: Bytes
  /** Seconds. */
  at: number
}

/** Two signed documents that cannot both be honest: proof against whoever signed them. */
export interface Evidence {
  code: ErrorCode
  /** What it proves, in words. */
  message: string
  /** Seconds, by the client's clock. */
  at: number
  /** Document hash of the head that was refused. */
  head: Bytes
  /** Stands alone: `keyferry inspect FILE --tenant ID` checks it. */
  file: Bytes
}

/**
 * All of a client's durable state: structured-cloneable, and opaque but for these two fields. Values are replaced, never changed in place.
 */
export interface StoredState {
  format: 1
  /** Rises with every write. */
  revision: number
  /**
   * Tenant id; empty before the first delivery.
   * @internal
   */
  tenant: string
  /** @internal */
  identity: { key: SigningKey; certificates: Bytes[] } | null
  /**
   * A key that is to be certified: what is lost on the way is asked for again.
   * @internal
   */
  pending?: SigningKey
  /** @internal */
  accepted: Accepted | null
  /**
   * The envelope of the accepted head; empty before the first.
   * @internal
   */
  head: Bytes
  /**
   * The trust documents that were followed, from number 1 on: evidence has to stand alone.
   * @internal
   */
  trusts: Envelope[]
  /**
   * Highest version of a key package ever made.
   * @internal
   */
  packageVersion: number
  /**
   * Hash of the package in use; empty before the first. A package with a higher version is on its way to replace it.
   * @internal
   */
  package: Bytes
  /** @internal */
  packages: StoredPackage[]
  /**
   * By keyring id in hex.
   * @internal
   */
  keyrings: Record<string, StoredKeyring>
  /** @internal */
  evidence: Evidence[]
  /**
   * Of the clients' CAs; none before the first sender is verified.
   * @internal
   */
  lists: StoredList[]
  /** @internal */
  revoked: StoredRevocation | null
}

/** Where a client's state is kept. */
export interface Store {
  /** True if private keys are written as text and must therefore be extractable when they are made. */
  readonly exportsKeys: boolean
  /** Why nothing of it outlives the page, although it was meant to; the client tells it as the event `session`. */
  readonly sessionOnly?: KeyferryError
  /** What was written last, by anyone; `null` at first. Throws `ERR_STATE`, `ERR_IO`. */
  read(): Promise<StoredState | null>
  /**
   * Replaces the state, durably and as a whole once it resolves. Throws `ERR_STATE` unless `revision` is above the stored one, `ERR_IO`.
   */
  write(state: StoredState): Promise<void>
  /** Runs `work` while no other tab, process or caller does. Not to be nested. */
  lock<T>(work: () => Promise<T>): Promise<T>
  /**
   * Whether somebody may have written since this revision: asked before every encryption, so that no tab goes on under what another one has
   * replaced. It has to be cheap, and may be a moment late. Throws `ERR_IO`.
   */
  hasNewer?(revision: number): Promise<boolean>
  /**
   * Runs `work`, a fetch, when no other tab fetches, so that one serves all; at the latest after some seconds, since a tab that hangs must stop
   * nobody. Other than `lock` it protects nothing. Throws the signal's reason.
   */
  turn?<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
}

/** The state of a client that knows nothing. */
export function emptyState(): StoredState {
  return {
    format: 1,
    revision: 0,
    tenant: '',
    identity: null,
    accepted: null,
    head: new Uint8Array(),
    trusts: [],
    packageVersion: 0,
    package: new Uint8Array(),
    packages: [],
    keyrings: {},
    evidence: [],
    lists: [],
    revoked: null,
  }
}

/** Shares work between callers: each is served by a run that begins after its call. */
export function createShared<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const run = (): Promise<T> => {
    next = undefined
    const own = work().finally(() => {
      if (running === own) running = undefined
    })
    running = own
    return own
  }
  return () => {
    if (next !== undefined) return next
    return running === undefined ? run() : (next = running.then(run, run))
  }
}

/** Runs one thing after the other. */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }
}
