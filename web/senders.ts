/** How a keyring comes to the signatures of its messages (docs/PROTOCOL.md, "Sender signatures"): what signs and verifies is loaded with the first one. */
import { type Bytes } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { type Crl } from '../shared/crl.ts'
import { createSha256 } from '../shared/hash.ts'
import { lazily } from '../shared/lazy.ts'
import { parseMessageHeader } from '../shared/message.ts'
import { type Accepted, type KeyringView } from '../shared/open.ts'
import type { Claim, ClaimedSender, Sender } from '../shared/sender.ts'
import { sha256 } from '../shared/signature.ts'
import { createFrameReader, requireSigned, type FrameReader } from '../shared/signed-message.ts'
import { bytesOf, type StreamData } from './data.ts'
import { type Identity } from './identity.ts'
import { type DecryptOptions, type VerifyOptions } from './keyring-options.ts'
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

/** SHA-256 of data of any length. Throws `TypeError` for pieces that are no `Uint8Array`, and the signal's reason. */
async function digestOf(data: StreamData, signal?: AbortSignal): Promise<Bytes> {
  const isStream = data instanceof ReadableStream
  if (!isStream && !(data instanceof Blob)) return sha256(await bytesOf(data))
  const hash = createSha256()
  const sink = new WritableStream<Uint8Array>({
    write: (piece) => void hash.update(piece),
  })
  await (isStream ? data : data.stream()).pipeTo(sink, signal && { signal })
  return hash.digest()
}

/** A sender that nobody asks about. */
const ANYBODY: ClaimedSender = { confirm: () => Promise.resolve(null) }

export class Senders {
  readonly #host: SenderHost

  constructor(host: SenderHost) {
    this.#host = host
  }

  /** A signature of data by this client. Throws as its work, `TypeError`, the signal's reason. */
  async sign(data: StreamData, context: Bytes, signal?: AbortSignal): Promise<Bytes> {
    const content = await digestOf(data, signal)
    return (await this.work()).sign(content, context)
  }

  /** Who signed data. Throws as its work and {@link sign}. */
  async verify(
    signature: Bytes,
    data: StreamData,
    context: Bytes,
    options: VerifyOptions,
  ): Promise<Sender> {
    const content = await digestOf(data, options.signal)
    return (await this.work()).verify(signature, content, context, options)
  }

  /** What signs and verifies. Throws `ERR_IO` when it does not load. */
  async work(): Promise<SenderWork> {
    const { SenderWork } = await lazily(() => import('./sender-work.ts'))
    return new SenderWork(this.#host)
  }

  /**
   * How the claim of the message that begins so is checked; `undefined` for an unsigned one. Throws `ERR_UNSIGNED` if a signature is asked for. The
   * header must be authenticated by now.
   */
  opener(
    prefix: Bytes,
    context: Bytes,
    { from, allowRevoked }: DecryptOptions,
  ): ((claim: Claim) => Promise<ClaimedSender>) | undefined {
    const header = parseMessageHeader(prefix)
    requireSigned(header, from !== undefined && from !== false)
    if (!header.isSigned) return undefined
    if (from === false) return () => Promise.resolve(ANYBODY)
    const options = {
      allowRevoked: allowRevoked === true,
      ...(typeof from === 'string' && { from }),
    }
    return async (claim) => (await this.work()).open(claim, prefix, context, options)
  }

  /** The same for a stream, with who signed told at its end. */
  reader(prefix: Bytes, context: Bytes, options: DecryptOptions): FrameReader | undefined {
    const open = this.opener(prefix, context, options)
    if (open === undefined) return undefined
    const { take, end } = createFrameReader(open)
    return {
      take,
      async end() {
        const sender = await end()
        if (sender !== null) options.onSender?.(sender)
        return sender
      },
    }
  }
}
