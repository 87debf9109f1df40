/** How a keyring comes to the signatures of its messages (docs/PROTOCOL.md, "Sender signatures"): what signs and verifies is loaded with the first one. */
import { type Bytes } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { type Crl } from '../shared/crl.ts'
import { lazily } from '../shared/lazy.ts'
import { parseMessageHeader, requireSigned } from '../shared/message.ts'
import { type Accepted, type KeyringView } from '../shared/open.ts'
import type { Sender } from '../shared/sender.ts'
import type { FrameReader } from '../shared/signed-message.ts'
import { type Identity } from './identity.ts'
import { type DecryptOptions } from './keyring-options.ts'
import type { SenderWork } from './sender-work.ts'

/** What a keyring's signatures need of its client. */
export interface SenderHost {
  /** Tenant id, as text. */
  tenant: string
  /** 16 bytes. */
  keyring: Bytes
  /** With the newest certificate. */
  identity: () => Identity
  /** The lists that the accepted head names of these issuers: kept, or fetched. Throws `ERR_HASH` and the codes of a relay that cannot be used. */
  lists: (issuers: readonly Bytes[]) => Promise<Crl[]>
  verify: CaVerifier
  /** Trust document and rules, as accepted. Throws `ERR_CLOSED`, `ERR_STATE`, `ERR_CLOCK`. */
  known: () => Promise<{ accepted: Accepted; view: KeyringView }>
  /** Seconds. */
  now: () => number
}

/** Whether somebody signed the message that begins so. Its header must be authenticated by now. Throws `ERR_UNSIGNED` if nobody did and a sender is asked for. */
function isSigned(prefix: Bytes, { from }: DecryptOptions): boolean {
  const header = parseMessageHeader(prefix)
  requireSigned(header, from !== undefined && from !== false)
  return header.isSigned
}

export class Senders {
  readonly #host: SenderHost

  constructor(host: SenderHost) {
    this.#host = host
  }

  /** What signs and verifies. Throws `ERR_IO` when it does not load. */
  async work(): Promise<SenderWork> {
    const { SenderWork } = await lazily(() => import('./sender-work.ts'))
    return new SenderWork(this.#host)
  }

  /** The data in the plaintext of a message, and who signed them. Throws as {@link work} and its `openFrame`, and `ERR_UNSIGNED`. */
  async open(
    message: Bytes,
    plaintext: Bytes,
    context: Bytes,
    options: DecryptOptions,
  ): Promise<{ data: Bytes; sender: Sender | null }> {
    if (!isSigned(message, options)) return { data: plaintext, sender: null }
    return (await this.work()).openFrame(message, plaintext, context, options)
  }

  /** The same for a stream, with who signed told at its end; `undefined` for an unsigned message. */
  async reader(
    prefix: Bytes,
    context: Bytes,
    options: DecryptOptions,
  ): Promise<FrameReader | undefined> {
    if (!isSigned(prefix, options)) return undefined
    return (await this.work()).reader(prefix, context, options)
  }
}
