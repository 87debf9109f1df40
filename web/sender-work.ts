/** What a client does where a message or data are signed: made and verified (docs/PROTOCOL.md, "Sender signatures"). It is loaded when it is needed. */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
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
import { boundOf, encodeClaim } from '../shared/signed-message.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type Identity } from './identity.ts'
import { type VerifyOptions } from './keyring-options.ts'
import type { SenderHost } from './senders.ts'

export class SenderWork {
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

  /** A signature by this client of data with this SHA-256. Throws `ERR_CERT_EXPIRED`. */
  async sign(content: Bytes, context: Bytes): Promise<Bytes> {
    const { signedAt, ...signer } = this.#claim()
    return signData({ ...(await this.#statement(context)), content }, signer, signedAt)
  }

  /** Who signed data with this SHA-256. Throws as `verifyData` and the host. */
  async verify(
    signature: Bytes,
    content: Bytes,
    context: Bytes,
    options: VerifyOptions,
  ): Promise<Sender> {
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

  /** Checks the claim of the message that begins so. Throws as `openClaim` and the host. */
  async open(
    claim: Claim,
    prefix: Bytes,
    context: Bytes,
    options: Pick<VerifyOptions, 'from' | 'allowRevoked'>,
  ): Promise<ClaimedSender> {
    const statement = { ...(await this.#statement(context)), ...boundOf(prefix) }
    return openClaim(claim, statement, await this.#context(options))
  }
}
