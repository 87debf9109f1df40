/** A client that signs, and that verifies who signed (docs/PROTOCOL.md, "Sender signatures"). */
import { type Bytes } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { type Crl } from '../shared/crl.ts'
import { KeyferryError } from '../shared/errors.ts'
import { createSha256 } from '../shared/hash.ts'
import { parseMessageHeader } from '../shared/message.ts'
import { type Accepted, type KeyringView } from '../shared/open.ts'
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
import { sha256 } from '../shared/signature.ts'
import {
  boundOf,
  createFrameReader,
  encodeClaim,
  requireSigned,
  type FrameReader,
} from '../shared/signed-message.ts'
import { parseCertificate } from '../shared/x509.ts'
import { bytesOf, type StreamData } from './data.ts'
import { type Identity } from './identity.ts'
import { type DecryptOptions, type VerifyOptions } from './keyring-options.ts'

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
export async function digestOf(data: StreamData, signal?: AbortSignal): Promise<Bytes> {
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

  async #statement(context: Bytes): Promise<Omit<Statement, 'content'>> {
    const { tenant, keyring } = this.#host
    return { tenant, keyring, context: await sha256(context) }
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
    const { lists, verify, known, now } = this.#host
    const { accepted, view } = await known()
    const { trust } = accepted
    return { trust, manifest: view.manifest, now: now(), from, allowRevoked, lists, verify }
  }

  /** A signature of data by this client. Throws `ERR_CERT_EXPIRED`, `TypeError`, the signal's reason. */
  async sign(data: StreamData, context: Bytes, signal?: AbortSignal): Promise<Bytes> {
    const content = await digestOf(data, signal)
    const { signedAt, ...signer } = this.#claim()
    return signData({ ...(await this.#statement(context)), content }, signer, signedAt)
  }

  /** Who signed data. Throws as `verifyData`, `digestOf` and the host. */
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
  async begin(
    key: Bytes,
    salt: Bytes,
    context: Bytes,
  ): Promise<{ claim: Bytes; sign: (content: Bytes) => Promise<Bytes> }> {
    const claim = this.#claim()
    const statement = { ...(await this.#statement(context)), key, salt }
    return {
      claim: encodeClaim(claim),
      sign: (content) => signMessage({ ...statement, content }, claim, claim.key),
    }
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
    return async (claim) => {
      const statement = { ...(await this.#statement(context)), ...boundOf(prefix) }
      return openClaim(claim, statement, await this.#context(options))
    }
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
