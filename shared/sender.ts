/**
 * Who signed data or a message, verified to the CA (docs/PROTOCOL.md, "Sender signatures"). The time in a signature is what its signer claims: the path
 * is validated at that time, what lists say counts now, and the difference is reported, never hidden.
 */
import { equal, hex, type Bytes } from './bytes.ts'
import { type CaVerifier } from './certificate-signature.ts'
import { type Crl } from './crl.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  payloadType,
  preAuthenticationEncoding,
  signWithCertificate,
  verifyRole,
  verifyWithPath,
} from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { encodeJson } from './json.ts'
import { type Manifest } from './manifest.ts'
import { makeBudget, readRevocation } from './path-rules.ts'
import { matchesSanRule, type VerifiedPath } from './path.ts'
import { bytes, int, object, text } from './schema.ts'
import { signBytes, verifySignature, type SigningKey } from './signature.ts'
import type { TrustDocument } from './trust.ts'

/**
 * How the signer's certificate stands now. `current`: its path is valid, and lists that are usable now cover it; `expired`: the path was valid at the
 * claimed time, which nobody can vouch for, and is over; `revoked`: a list has it, and the claimed time says nothing at all.
 */
export type SenderStatus = 'current' | 'expired' | 'revoked'

/** Who signed. */
export interface Sender {
  /** The one URI of the signer's certificate. */
  uri: string
  /** Key id of the certificate's key, in hex: what `keyferry client list` shows. */
  device: string
  /** Seconds; claimed by the signer. */
  signedAt: number
  status: SenderStatus
}

/** What is signed. All are 32 bytes but the keyring's 16. */
export interface Statement {
  /** Tenant id, as text. */
  tenant: string
  keyring: Bytes
  /** Hash of the data. */
  content: Bytes
  /** Hash of the caller's context. */
  context: Bytes
}

/** What the signature inside a message is about beside that. */
export interface MessageStatement extends Statement {
  /** Key id. */
  key: Bytes
  /** Of the message: 24 bytes. */
  salt: Bytes
}

/** Who says to have signed, and when: seconds. `certificates` are DER, end-entity first. */
export interface Claim {
  certificates: Bytes[]
  signedAt: number
}

/** Whom to believe, and what is asked of the sender. */
export interface SenderContext {
  trust: TrustDocument
  manifest: Pick<Manifest, 'rules'>
  /** Seconds. */
  now: number
  /** A SAN rule for the sender's URI. */
  from?: string | undefined
  /** Reports a revoked signer instead of refusing it. */
  allowRevoked?: boolean | undefined
  /** The lists that the accepted head names of these issuers (key ids). */
  lists: (issuers: readonly Bytes[]) => Promise<readonly Crl[]>
  verify?: CaVerifier | undefined
}

const signatureSchema = object({
  content: bytes(32),
  context: bytes(32),
  keyring: bytes(16),
  signedAt: int(),
  signer: bytes(32),
  tenant: text(52),
})

/** [sign-3] to [sign-5]: all that can be said of a claim without its signature and without lists. */
async function checkClaim(claim: Claim, context: SenderContext): Promise<VerifiedPath> {
  const { trust, manifest, now, from, verify } = context
  const { certificates, signedAt } = claim
  // PROTOCOL [sign-3]
  if (signedAt > now + trust.body.skew)
    throw new KeyferryError('ERR_FUTURE', 'signed in the future')
  // PROTOCOL [sign-4]
  const path = await verifyRole(certificates, {
    trust: trust.body,
    role: 'client',
    now: signedAt,
    // They are asked for what they say now, in `standingOf`.
    crls: 'unsafe-without-revocation',
    verify,
  })
  // PROTOCOL [sign-5]
  if (!manifest.rules.some((rule) => matchesSanRule(path.uri, rule)))
    throw new KeyferryError('ERR_SENDER', `no rule of the keyring covers ${path.uri}`)
  if (from !== undefined && !matchesSanRule(path.uri, from))
    throw new KeyferryError('ERR_SENDER', `the sender is ${path.uri}`)
  return path
}

async function standingOf(path: VerifiedPath, context: SenderContext): Promise<SenderStatus> {
  const { trust, now, allowRevoked, lists, verify } = context
  const issuers = path.chain.slice(1).map(({ spki }) => digest(spki))
  const crls = await lists(await Promise.all(issuers))
  const { lowestCrls } = trust.body
  const standing = await readRevocation(path.chain, crls, now, makeBudget(verify), (used) =>
    lowestCrls.every(
      ({ issuer, number }) => !equal(issuer, used.keyId) || used.crlNumber >= number,
    ),
  )
  // PROTOCOL [sign-6]
  if (standing === 'revoked') {
    if (allowRevoked !== true) throw new KeyferryError('ERR_CERT_REVOKED', `${path.uri} is revoked`)
    return 'revoked'
  }
  if (now > path.notAfter) return 'expired'
  if (standing === 'unknown') throw new KeyferryError('ERR_CRL')
  return 'current'
}

async function senderOf(
  path: VerifiedPath,
  signedAt: number,
  context: SenderContext,
): Promise<Sender> {
  const device = hex(await digest(path.spki))
  return { uri: path.uri, device, signedAt, status: await standingOf(path, context) }
}

/** A signature that stands beside its data: an envelope, at most 65,536 bytes. `now` in seconds. */
export async function signData(
  statement: Statement,
  signer: { key: SigningKey; certificates: Bytes[] },
  now: number,
): Promise<Bytes> {
  const { key, certificates } = signer
  const body = { ...statement, signedAt: now, signer: await digest(certificates[0]!) }
  return encodeEnvelope(await signWithCertificate('signature', body, key, certificates))
}

/**
 * Verifies a signature that stands beside its data. Throws the codes of decoding, of envelopes and of paths; `ERR_KEYRING`, `ERR_HASH` for other
 * data or another context, `ERR_FUTURE`, `ERR_SENDER`, `ERR_CRL`, `ERR_CERT_REVOKED`, and what `lists` throws.
 */
export async function verifyData(
  signature: Bytes,
  { tenant, keyring, content, context: bound }: Statement,
  context: SenderContext,
): Promise<Sender> {
  // PROTOCOL [sign-1]
  const envelope = decodeEnvelope(signature)
  const { certificates } = envelope
  const { body, path } = await verifyWithPath(
    envelope,
    'signature',
    signatureSchema,
    tenant,
    (unverified) => {
      const claimed = signatureSchema(unverified, '')
      // PROTOCOL [sign-2]
      if (!equal(claimed.keyring, keyring)) throw new KeyferryError('ERR_KEYRING')
      if (!equal(claimed.content, content)) throw new KeyferryError('ERR_HASH', 'of other data')
      if (!equal(claimed.context, bound)) throw new KeyferryError('ERR_HASH', 'of another context')
      return checkClaim({ certificates, signedAt: claimed.signedAt }, context)
    },
  )
  return senderOf(path, body.signedAt, context)
}

/** What a sender signs inside a message. */
function statementBytes(statement: MessageStatement, signer: Bytes, signedAt: number): Bytes {
  const body = encodeJson({ ...statement, signedAt, signer })
  return preAuthenticationEncoding(payloadType('message'), body)
}

/** The signature inside a message: 64 bytes. */
export async function signMessage(
  statement: MessageStatement,
  { certificates, signedAt }: Claim,
  key: SigningKey,
): Promise<Bytes> {
  return signBytes(key, statementBytes(statement, await digest(certificates[0]!), signedAt))
}

/** A sender whose claim holds, and whose signature is still to come. */
export interface ClaimedSender {
  /** Who signed, once the signature over the whole message verifies; `null` where nobody asks. Throws `ERR_SIGNATURE`. */
  confirm: (content: Bytes, signature: Bytes) => Promise<Sender | null>
}

/**
 * Checks a claim inside a message, before any of its data is used. Throws the codes of paths, `ERR_FUTURE`, `ERR_SENDER`, `ERR_CRL`,
 * `ERR_CERT_REVOKED`, and what `lists` throws.
 */
export async function openClaim(
  claim: Claim,
  statement: Omit<MessageStatement, 'content'>,
  context: SenderContext,
): Promise<ClaimedSender> {
  const path = await checkClaim(claim, context)
  const sender = await senderOf(path, claim.signedAt, context)
  return {
    async confirm(content, signature) {
      const signed = statementBytes({ ...statement, content }, path.fingerprint, claim.signedAt)
      // PROTOCOL [sign-8]
      if (!(await verifySignature(path.key, signature, signed)))
        throw new KeyferryError('ERR_SIGNATURE', 'not by the sender, or of another message')
      return sender
    },
  }
}
