/** What a client does where a message or data are signed: made and verified (docs/PROTOCOL.md, "Sender signatures"). It is loaded when it is needed. */
import { concat, type Bytes } from '../shared/bytes.ts'
import { requirePiece } from '../shared/chunk.ts'
import { digest } from '../shared/digest.ts'
import { KeyferryError } from '../shared/errors.ts'
import { createSha256 } from '../shared/hash.ts'
import {
  openClaim,
  signData,
  signMessage,
  verifyData,
  type Claim,
  type ClaimedSender,
  type Sender,
  type SenderContext,
  type Statement,
} from '../shared/sender.ts'
import {
  boundOf,
  createFrameReader,
  createFrameWriter,
  encodeClaim,
  openFrame,
  type Begun,
  type FrameReader,
  type FrameWriter,
} from '../shared/signed-message.ts'
import { parseCertificate } from '../shared/x509.ts'
import { bytesOf, type StreamData } from './data.ts'
import { type Identity } from './identity.ts'
import { type DecryptOptions, type VerifyOptions } from './keyring-options.ts'
import type { SenderHost } from './senders.ts'

/** SHA-256 of data of any length. Throws as `requirePiece` for pieces of a stream, and the signal's reason. */
async function digestOf(data: StreamData, signal?: AbortSignal): Promise<Bytes> {
  const isStream = data instanceof ReadableStream
  if (!isStream && !(data instanceof Blob)) return digest(await bytesOf(data))
  const hash = createSha256()
  const sink = new WritableStream<Uint8Array>({
    write(piece) {
      requirePiece(piece)
      hash.update(piece)
    },
  })
  await (isStream ? data : data.stream()).pipeTo(sink, signal && { signal })
  return hash.digest()
}

/** A sender that nobody asks about. */
const ANYBODY: ClaimedSender = { confirm: () => Promise.resolve(null) }

export class SenderWork {
  readonly #host: SenderHost

  constructor(host: SenderHost) {
    this.#host = host
  }

  async #statement(context: Bytes): Promise<Omit<Statement, 'content'>> {
    const { tenant, keyring } = this.#host
    return { tenant, keyring, context: await digest(context) }
  }

  /** Who signs, now. Throws `ERR_CERT_EXPIRED`: nobody would take the signature. */
  #claim(): Claim & { key: Identity['key'] } {
    const { key, certificates } = this.#host.identity()
    const { notBefore, notAfter } = parseCertificate(certificates[0]!)
    const signedAt = this.#host.now()
    if (signedAt < notBefore || signedAt > notAfter) throw new KeyferryError('ERR_CERT_EXPIRED')
    return { key, certificates, signedAt }
  }

  async #context({
    from,
    allowRevoked,
  }: Pick<VerifyOptions, 'from' | 'allowRevoked'>): Promise<SenderContext> {
    // Anything else would ask for nobody.
    if (from !== undefined && typeof from !== 'string') throw new TypeError('from is a URI')
    const { lists, verify, known, now } = this.#host
    const { accepted, view } = await known()
    const { trust } = accepted
    return { trust, manifest: view.manifest, now: now(), from, allowRevoked, lists, verify }
  }

  /** A signature by this client of data. Throws `ERR_CERT_EXPIRED`, `TypeError`, the signal's reason. */
  async sign(data: StreamData, context: Bytes, signal?: AbortSignal): Promise<Bytes> {
    const content = await digestOf(data, signal)
    const { signedAt, ...signer } = this.#claim()
    return signData({ ...(await this.#statement(context)), content }, signer, signedAt)
  }

  /** Who signed data. Throws as `verifyData`, the host and {@link sign}. */
  async verify(
    signature: Bytes,
    data: StreamData,
    context: Bytes,
    options: VerifyOptions,
  ): Promise<Sender> {
    const content = await digestOf(data, options.signal)
    const statement = { ...(await this.#statement(context)), content }
    return verifyData(signature, statement, await this.#context(options))
  }

  /** What stands before the data of a message, and how to make what stands behind. Throws `ERR_CERT_EXPIRED`, `ERR_TOO_LARGE`. */
  async #begin(key: Bytes, salt: Bytes, context: Bytes): Promise<Begun> {
    const claim = this.#claim()
    const statement = { ...(await this.#statement(context)), key, salt }
    return {
      claim: encodeClaim(claim),
      sign: (content) => signMessage({ ...statement, content }, claim, claim.key),
    }
  }

  /** Data with what stands around them in a message that is signed. Throws `ERR_CERT_EXPIRED`, `ERR_TOO_LARGE`. */
  async frame(key: Bytes, salt: Bytes, context: Bytes, data: Bytes): Promise<Bytes> {
    const { claim, sign } = await this.#begin(key, salt, context)
    return concat(claim, data, await sign(await digest(data)))
  }

  /** The same for a stream. */
  async writer(key: Bytes, salt: Bytes, context: Bytes): Promise<FrameWriter> {
    return createFrameWriter(await this.#begin(key, salt, context))
  }

  /** How the claim of the message that begins so is checked. Throws as `openClaim` and the host. */
  #opener(
    prefix: Bytes,
    context: Bytes,
    { from, allowRevoked }: DecryptOptions,
  ): (claim: Claim) => Promise<ClaimedSender> {
    if (from === false) return () => Promise.resolve(ANYBODY)
    const options = {
      allowRevoked: allowRevoked === true,
      ...(from !== undefined && from !== true && { from }),
    }
    return async (claim) => {
      const statement = { ...(await this.#statement(context)), ...boundOf(prefix) }
      return openClaim(claim, statement, await this.#context(options))
    }
  }

  /** The data in the plaintext of the message that begins so, and who signed them. Throws as `openFrame`, `openClaim` and the host. */
  openFrame(
    prefix: Bytes,
    plaintext: Bytes,
    context: Bytes,
    options: DecryptOptions,
  ): Promise<{ data: Bytes; sender: Sender | null }> {
    return openFrame(plaintext, this.#opener(prefix, context, options))
  }

  /** The same for a stream, with who signed told at its end. */
  reader(prefix: Bytes, context: Bytes, options: DecryptOptions): FrameReader {
    const { take, end } = createFrameReader(this.#opener(prefix, context, options))
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
