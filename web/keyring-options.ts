/** How an app encrypts, decrypts, signs and verifies with a keyring. */
import type { Sender } from '../shared/sender.ts'

/** What a message or a signature is bound to: the same context is needed to decrypt or verify. It is not part of them. Empty by default. */
export interface ContextOptions {
  context?: string | Uint8Array
}

/** How to encrypt. */
export interface EncryptOptions extends ContextOptions {
  /** Signs with this client's certificate, inside the message. */
  sign?: boolean
}

/** Whom to take as the sender. */
export interface SenderOptions {
  /**
   * The URI of the sender, or a prefix of it and `*` behind a `/`. `true` asks for a signature of any client that the keyring's rules cover; without it a
   * message may be unsigned, but a signature that is there must hold; `false` leaves the signature alone: by any member, for all one knows.
   */
  from?: string | boolean
  /** Reports a revoked sender as its status, in place of `ERR_CERT_REVOKED`. */
  allowRevoked?: boolean
  /** Told who signed, once that is proven and before the work ends; not at all of what nobody signed. */
  onSender?: (sender: Sender) => void
}

/** How to read: whole messages and ranges. */
export interface ReadOptions extends ContextOptions {
  /** Refuses messages under older versions: a member that was removed can still make such. */
  minVersion?: number
}

/** How to decrypt. */
export interface DecryptOptions extends ReadOptions, SenderOptions {}

/** How to verify a signature that stands beside its data. */
export interface VerifyOptions extends ContextOptions, StreamOptions {
  /** The URI of the signer, or a prefix of it and `*` behind a `/`; any client that the keyring's rules cover by default. */
  from?: string
  /** Reports a revoked signer as its status, in place of `ERR_CERT_REVOKED`. */
  allowRevoked?: boolean
}

/** What stops a stream of given data: both of its ends fail with the signal's reason. A transform is stopped by `pipeThrough(transform, { signal })`. */
export interface StreamOptions {
  signal?: AbortSignal
}

/** Bytes of the plaintext: from `start`, 0 by default, up to, but not including, `end`, by default its end. */
export interface RangeOptions extends ReadOptions {
  start?: number
  end?: number
}
