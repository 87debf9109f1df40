/**
 * Who may call (docs/PROTOCOL.md, "Admission"), in two questions that are not mixed. Did the holder of this certificate sign this call? That does
 * not depend on the tenant, and "no" is `ERR_UNAUTHORIZED`. Does the tenant admit the certificate for this call? "No" is `ERR_NOT_FOUND`, as for a
 * tenant that is not enrolled [relay-4].
 */
import { SUBPROTOCOL } from '../shared/api.ts'
import { type Bytes } from '../shared/bytes.ts'
import { readSignedBody } from '../shared/credentials.ts'
import { type Role } from '../shared/envelope.ts'
import { relayError } from '../shared/relay-codes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import {
  readCallHead,
  requireDigest,
  requireSignature,
  requireTime,
  type CallSignature,
} from '../shared/http-signature.ts'
import { readTicket } from '../shared/ticket.ts'
import { importVerifyKey } from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { readBody } from './body.ts'
import { brake, type Call, type Signed, type SignedCall } from './call.ts'
import { admitBy, signers, type Caller, type MoreCrls } from './caller.ts'
import { MOVED } from './problem.ts'
import { chainKey, confirmStanding, readStanding, recallStanding } from './standing.ts'

/** The most that a trust document can allow; before it is known whose counts. Seconds. */
const MAX_SKEW = 300
/** Bytes that nearly every call of a client fits into. */
const SMALL = 16_384
const AS_THEY_ARE: readonly ErrorCode[] = [
  'ERR_QUOTA',
  'ERR_NOT_FOUND',
  'ERR_TOO_LARGE',
  'ERR_TIMEOUT',
]
/**
 * Who signed, whatever the tenant: nothing of the certificate but its key is looked at. It is the first thing that is done with a call, by the platform's
 * own crypto: no object is asked before this holds, and nothing is read of a body of which headers have the digest.
 */
async function verifySigner(call: Call, signature: CallSignature): Promise<void> {
  const chain = chainKey(signature.certificates)
  let signer = signers.get(chain)
  if (signer === undefined) {
    await brake(call)
    const { der, spki } = parseCertificate(signature.certificates[0] ?? new Uint8Array())
    signer = { fingerprint: sha256(der), key: await importVerifyKey(spki) }
  }
  requireTime(signature, call.now, MAX_SKEW)
  await requireSignature(signature, signer)
}

/**
 * A client's caller, by what is remembered of the tenant, however old: whoever goes on asks the tenant's object with the tag of the documents, and is refused
 * where they are others now. That saves a call of the object. Throws as {@link admitBy}.
 */
async function admitComparably(
  call: Call,
  signature: CallSignature,
  roles: readonly Role[],
): Promise<Caller> {
  const { standing: known, isFresh } = recallStanding(call)
  let refusal: unknown
  if (known != null && !isFresh) {
    try {
      return await admitBy(known, call, signature, roles)
    } catch (error) {
      if (isKeyferryError(error, 'ERR_QUOTA')) throw error
      refusal = error
    }
  }
  const standing = await readStanding(call)
  // Only other documents may admit it.
  if (refusal !== undefined && standing?.tag === known?.tag) throw refusal
  return admitBy(standing, call, signature, roles)
}

/**
 * Answers an admitted call. Where the tenant's object says that there are other documents now, or the call is refused by documents of which that is not known, it is
 * admitted anew and answered once more.
 */
export async function answerByNow(
  call: SignedCall,
  answer: (call: SignedCall) => Promise<Response>,
): Promise<Response> {
  const { caller } = call
  const { standing, role, signature } = caller
  try {
    const response = await answer(call)
    confirmStanding(call, standing)
    return response
  } catch (error) {
    const isMoved = (error as Error).message === MOVED
    if (!isMoved && recallStanding(call).isFresh) throw error
    const now = await readStanding(call, true)
    if (!isMoved && now?.tag === standing.tag) throw error
    return answer({ ...call, caller: await admitBy(now, call, signature, [role]) })
  }
}

/** The body of a signed call, hashed by the platform. Throws `ERR_UNAUTHORIZED` and what {@link readBody} throws. */
async function readSigned(call: Call, signature: CallSignature, limit: number): Promise<Bytes> {
  const body = await readBody(call.request, limit)
  requireDigest(signature, new Uint8Array(await crypto.subtle.digest('SHA-256', body)))
  return body
}

/** A ticket in `Sec-WebSocket-Protocol`: `keyferry.v1, <ticket>`. */
function ticketOf(call: Call): CallSignature {
  const header = call.request.headers.get('sec-websocket-protocol') ?? ''
  const [protocol, ticket, ...more] = header.split(',').map((item) => item.trim())
  if (protocol !== SUBPROTOCOL || ticket === undefined || more.length > 0) {
    throw relayError('ERR_UNAUTHORIZED')
  }
  return readTicket(ticket, call.url)
}

/** What admission needs to know of a route. */
export interface AdmitOptions {
  signed: Signed | undefined
  /** Bytes that the body may have. */
  limit: number
  /** CRLs that a body brings. */
  crlsIn: (body: Bytes) => readonly Bytes[]
}

/**
 * The caller, if it has one of the roles, and the body that it signed. Throws `ERR_UNAUTHORIZED`, `ERR_NOT_FOUND`, `ERR_QUOTA` and what
 * {@link readBody} throws.
 */
export async function admit(
  call: Call,
  roles: readonly Role[],
  { signed, limit, crlsIn }: AdmitOptions,
): Promise<{ caller: Caller; body: Bytes }> {
  try {
    const { request, url } = call
    const { method } = request
    if (signed !== undefined) {
      // Nothing is known of who sends it: more than nearly all calls have is braked.
      const isShort = Number(request.headers.get('content-length') ?? Infinity) <= SMALL
      if (signed === 'body' && !isShort) await brake(call)
      const read = await readBody(request, limit)
      const { signature, body } =
        signed === 'body'
          ? await readSignedBody({ method, url, body: read })
          : { signature: ticketOf(call), body: read }
      await verifySigner(call, signature)
      return { caller: await admitComparably(call, signature, roles), body }
    }
    const signature = readCallHead({ method, url }, (name) => request.headers.get(name))
    await verifySigner(call, signature)
    let read: Promise<Bytes> | undefined
    const body = (): Promise<Bytes> => (read ??= readSigned(call, signature, limit))
    const standing = await readStanding(call)
    const more: MoreCrls = async () => crlsIn(await body())
    return { caller: await admitBy(standing, call, signature, roles, more), body: await body() }
  } catch (cause) {
    // Whatever is wrong with a signature is one error.
    if (!isKeyferryError(cause) || AS_THEY_ARE.includes(cause.code)) throw cause
    throw new KeyferryError('ERR_UNAUTHORIZED', cause.message, { cause })
  }
}
