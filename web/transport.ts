/**
 * All of a client's HTTP calls (docs/PROTOCOL.md, "HTTP"). An answer is bytes from a stranger: bounded in size and time, its status and media type
 * checked, its error documents taken as hints.
 */
import { callsPath, OCTETS_TYPE, PROBLEM_TYPE, TEXT_TYPE } from '../shared/api.ts'
import { type Bytes } from '../shared/bytes.ts'
import { signBody } from '../shared/credentials.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type Signer } from '../shared/http-signature.ts'
import { encodeJson, parseJson } from '../shared/json.ts'
import { readBounded, abortable, sleep, withDeadline } from './bounded.ts'
import type { ClientCall } from '../shared/client-calls.ts'
import { MAX_CRL } from '../shared/limits.ts'

/** Milliseconds that an operation takes at most, over all relays and repetitions. */
const DEADLINE = 30_000
const ROUNDS = 2
/** A problem document with a list of the CA in it. */
const MAX_PROBLEM = 16_384 + Math.ceil((MAX_CRL * 4) / 3)
/** What of a relay's refusals is told apart; all else is `ERR_RELAY`. */
const CODES: Partial<Record<number, ErrorCode>> = {
  401: 'ERR_UNAUTHORIZED',
  404: 'ERR_NOT_FOUND',
  429: 'ERR_QUOTA',
}
const WORTH_REPEATING: readonly ErrorCode[] = ['ERR_RELAY', 'ERR_TIMEOUT', 'ERR_QUOTA']
/** As relays answer a certificate that they do not admit, and a tenant that they do not know. */
const UNADMITTED: readonly ErrorCode[] = ['ERR_UNAUTHORIZED', 'ERR_NOT_FOUND']
const OWN_CODES: readonly ErrorCode[] = [...WORTH_REPEATING, ...UNADMITTED]

const LOCAL_CODES: readonly ErrorCode[] = ['ERR_IO', 'ERR_STATE']

/** True for what only says that a relay could not or would not be of use. */
export function isTransportError(error: unknown): error is KeyferryError {
  return isKeyferryError(error) && OWN_CODES.includes(error.code)
}

/** True for a failure by which every relay says that it does not admit this client. */
export function isUnadmitted(error: unknown): error is KeyferryError {
  return isKeyferryError(error) && UNADMITTED.includes(error.code)
}

/**
 * Sends a signed call and returns the answer's bytes, at most `limit` of this media type, by default that of bytes; `null` for an answer without content. `meanwhile` is
 * called when it is on its way. Throws
 * `ERR_RELAY`, `ERR_TIMEOUT`, `ERR_NOT_FOUND`, `ERR_QUOTA`, `ERR_UNAUTHORIZED`, `ERR_TOO_LARGE`.
 */
export type Post = (
  call: ClientCall,
  limit: number,
  meanwhile?: () => void,
  type?: string,
) => Promise<Bytes | null>

/** The relays of a client. */
export interface Transport {
  /**
   * Does `work`, which must be fit to be repeated, with one relay after the other until it succeeds. Throws the first failure that is
   * not of the transport, else the first one of a relay that may yet be of use, else the first one; the signal's reason when that is aborted.
   * With `isEnough` an honest answer that leaves something to wish is kept, and the relays after it are asked as well.
   */
  attempt<T>(
    work: (post: Post) => Promise<T>,
    signal: AbortSignal,
    isEnough?: () => boolean,
  ): Promise<T>
}

/** What a transport needs. */
export interface TransportOptions {
  /** Origins, in order of preference. */
  relays: readonly string[]
  tenant: string
  fetch: typeof fetch
  signer: Signer
  /** Seconds. */
  now: () => number
  /** Told of every failure, also where another relay helps. */
  warn: (error: KeyferryError) => void
  /** Milliseconds per operation. */
  deadline?: number
}

/** A refusal by a relay, with the milliseconds that it asks to wait, and a revocation list (base64url) where it shows one. */
class RelayRefusal extends KeyferryError {
  readonly wait: number
  readonly list: string | undefined

  constructor(code: ErrorCode, message: string, wait: number, list: string | undefined) {
    super(code, message)
    this.wait = wait
    this.list = list
  }
}

/** The list, base64url, with which a relay says that this client is revoked: nothing of it is checked. */
export function listIn(error: unknown): string | undefined {
  return error instanceof RelayRefusal ? error.list : undefined
}

function mediaType(response: Response): string {
  return (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
}

/** The code in a problem document, if it looks like one, for people to read; and the list, if there is one. */
async function readProblem(
  response: Response,
  signal: AbortSignal,
): Promise<{ hint: string; list?: string | undefined }> {
  if (mediaType(response) !== PROBLEM_TYPE) return { hint: '' }
  try {
    const problem = parseJson(await readBounded(response, MAX_PROBLEM, signal), MAX_PROBLEM)
    const { code, crl } = problem as { code?: unknown; crl?: unknown }
    const isCode = typeof code === 'string' && /^ERR_[A-Z_]{1,40}$/.test(code)
    return { hint: isCode ? ` ${code}` : '', list: typeof crl === 'string' ? crl : undefined }
  } catch {
    return { hint: '' }
  }
}

async function refuse(response: Response, type: string, signal: AbortSignal): Promise<never> {
  const { hint, list } = await readProblem(response, signal)
  response.body?.cancel().catch(() => {})
  const seconds = Number(response.headers.get('retry-after') ?? 0)
  throw new RelayRefusal(
    CODES[response.status] ?? 'ERR_RELAY',
    `the relay answers ${response.status}${hint || `, not ${type}`}`,
    seconds > 0 ? seconds * 1_000 : 0,
    list,
  )
}

async function readAnswer(
  response: Response,
  type: string,
  limit: number,
  signal: AbortSignal,
): Promise<Bytes | null> {
  const { status } = response
  if (status === 202 || status === 204) {
    // To its end, which comes at once: the connection of an answer that is let go before serves no other.
    await readBounded(response, 0, signal)
    return null
  }
  // A redirect too: nothing is followed.
  if (status !== 200 || mediaType(response) !== type) return refuse(response, type, signal)
  return readBounded(response, limit, signal)
}

function relayError(error: unknown, signal: AbortSignal): KeyferryError {
  const reason: unknown = signal.aborted ? signal.reason : error
  return isKeyferryError(reason)
    ? reason
    : new KeyferryError('ERR_RELAY', undefined, { cause: reason })
}

/** The transport to these relays. */
export function createTransport(options: TransportOptions): Transport {
  const { relays, tenant, signer, now, warn } = options

  /** Calls a relay. */
  const postTo =
    (relay: string, signal: AbortSignal): Post =>
    async (call, limit, meanwhile, type = OCTETS_TYPE) => {
      const url = new URL(callsPath(tenant), relay)
      const method = 'POST'
      // Made anew for every attempt: a signature lives for a minute.
      const body = await signBody({ method, url, body: encodeJson(call) }, signer, now())
      try {
        const asked = options.fetch(url, {
          method,
          body,
          // And no other one: a browser would ask the relay first whether a page may send it.
          headers: { 'content-type': TEXT_TYPE },
          signal,
          redirect: 'manual',
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
        })
        meanwhile?.()
        const response = await abortable(asked, signal)
        return await readAnswer(response, type, limit, signal)
      } catch (error) {
        throw relayError(error, signal)
      }
    }

  const attempt: Transport['attempt'] = async <T>(
    work: (post: Post) => Promise<T>,
    signal: AbortSignal,
    isEnough = (): boolean => true,
  ): Promise<T> => {
    const end = performance.now() + (options.deadline ?? DEADLINE)
    let first: KeyferryError | undefined
    let hopeful: KeyferryError | undefined
    let telling: KeyferryError | undefined
    let kept: { answer: T } | undefined
    for (let round = 1; round <= ROUNDS; round++) {
      let wait: number | undefined
      for (const [i, relay] of relays.entries()) {
        const isLast = round === ROUNDS && i === relays.length - 1
        const left = end - performance.now()
        if (left <= 0) break
        try {
          // A relay that hangs leaves the others half of the time that there is.
          const answer = await withDeadline(isLast ? left : left / 2, signal, (inner) =>
            work(postTo(relay, inner)),
          )
          if (isEnough()) return answer
          kept = { answer }
        } catch (error) {
          signal.throwIfAborted()
          // What this device did wrong, another relay does not mend.
          if (!isKeyferryError(error) || LOCAL_CODES.includes(error.code)) throw error
          warn(error)
          first ??= error
          if (!isTransportError(error)) telling ??= error
          else if (WORTH_REPEATING.includes(error.code)) {
            hopeful ??= error
            wait = Math.max(wait ?? 0, error instanceof RelayRefusal ? error.wait : 0)
          }
        }
      }
      if (kept !== undefined) return kept.answer
      const pause = Math.max(wait ?? 0, (0.5 + Math.random()) * 300)
      if (wait === undefined || round === ROUNDS || performance.now() + pause >= end) break
      await sleep(pause, signal)
    }
    throw telling ?? hopeful ?? first ?? new KeyferryError('ERR_TIMEOUT')
  }
  return { attempt }
}
