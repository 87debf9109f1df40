/**
 * The enrolment handler of an app's own backend (docs/PROTOCOL.md, "Enrolment"): a standard `Request` in, a `Response` out. It runs wherever those
 * exist, and never at a relay.
 */
import { JSON_TYPE } from '../../shared/api.ts'
import { equal, type Bytes } from '../../shared/bytes.ts'
import { parseCsr } from '../../shared/csr.ts'
import {
  CSRF_HEADER,
  enrolRequestSchema,
  MAX_ENROLMENT,
  type EnrolRequest,
} from '../../shared/enrol.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { KeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { decodePem } from '../../shared/pem.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { answer, codeOf, problem } from './answers.ts'
import { type ApprovalStore } from './approvals.ts'
import { readJsonBody } from './body.ts'
import { type CertificateAuthority } from './ca.ts'
import { decide, type Ground, type Continuity } from './continuity.ts'
import { type EnrolSession, type FindSession } from './session.ts'
import { createMemoryOnce, Tokens, type Once } from './tokens.ts'

const DAY = 86_400
const LIFETIME = 7 * DAY
const MAX_LIFETIME = 30 * DAY

/** For the app's log. It holds no secret. */
export type EnrolmentEvent =
  | { type: 'issued'; uri: string; keyId: Bytes; ground: Ground }
  | { type: 'refused'; code: ErrorCode; uri: string | null; cause: unknown }

/** What {@link createEnrolment} needs. */
export interface EnrolmentOptions {
  ca: CertificateAuthority
  /** The app's own authentication, or `createOidcSession` of `keyferry/enrolment/oidc`. */
  session: FindSession
  /** At least 32 random bytes, the same in all instances. */
  secret: Bytes
  /** Origins of the app's pages: `https://app.acme.example`. */
  origins: readonly string[]
  /** Seconds that a certificate lives: 7 days by default, 30 days at most. */
  lifetime?: number
  /** What lets a further key join: `proof` and `step-up` by default, and `approval` where `approvals` is given. */
  accept?: readonly Continuity[]
  approvals?: ApprovalStore
  /** Remembers used nonces; in memory by default, which is right for one process only. */
  once?: Once
  /** Seconds for which this session has to wait; 0 for not at all. */
  limit?: (session: EnrolSession, request: Request) => Promise<number> | number
  report?: (event: EnrolmentEvent) => void
  /** Seconds since 1970. */
  now?: () => number
}

/** A page's own request, and nobody else's. */
function checkOrigin({ method, headers }: Request, origins: readonly string[]): void {
  // PROTOCOL [enrol-2]
  const origin = headers.get('origin')
  const isOwn = origin === null ? method === 'GET' : origins.includes(origin)
  const site = headers.get('sec-fetch-site')
  if (!isOwn || (site !== null && site !== 'same-origin')) throw errorOf('ERR_ORIGIN')
}

/**
 * Makes the handler. Throws `RangeError` for a short secret, no origin, or a lifetime above 30 days. The handler itself never rejects.
 *
 * @example
 * const enrolment = createEnrolment({ ca, session, secret, origins: ['https://app.acme.example'] })
 * app.all('/enroll', (c) => enrolment(c.req.raw))
 */
export function createEnrolment(
  options: EnrolmentOptions,
): (request: Request) => Promise<Response> {
  const { ca, origins, lifetime = LIFETIME, approvals } = options
  /** A report that fails changes no answer: the certificate was issued, or refused, before. */
  const report: NonNullable<EnrolmentOptions['report']> = (event) => {
    try {
      options.report?.(event)
    } catch {}
  }
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  const once = options.once ?? createMemoryOnce(now)
  const accept = options.accept ?? ['proof', 'step-up', 'approval']
  const tokens = new Tokens(options.secret)
  // PROTOCOL [enrol-10]
  if (!(lifetime > 0 && lifetime <= MAX_LIFETIME)) throw new RangeError('lifetime: at most 30 days')
  if (origins.length === 0 || origins.some((one) => URL.parse(one)?.origin !== one))
    throw new RangeError('origins: scheme, host and port alone')

  async function certify(csr: Bytes, spki: Bytes, uri: string, isFirst: boolean): Promise<string> {
    const pem = await ca.issue({ csr, uri, lifetime, isFirst })
    const leaf = parseCertificate(decodePem(pem, 'CERTIFICATE')[0]!)
    // PROTOCOL [enrol-10]: a CA that takes names from the request is found out here.
    const isRight = equal(leaf.spki, spki) && leaf.uris.length === 1 && leaf.uris[0] === uri
    if (!isRight || leaf.notAfter > now() + MAX_LIFETIME)
      throw new KeyferryError('ERR_INTERNAL', 'the CA made another certificate than asked for')
    return pem
  }

  async function enrol(body: EnrolRequest, session: EnrolSession): Promise<Response> {
    const time = now()
    const { uri } = session
    const expiresAt = await tokens.readNonce(body.nonce, session, time)
    // PROTOCOL [enrol-6]
    if (!(await once.use(body.nonce, expiresAt))) throw errorOf('ERR_REPLAY')
    // PROTOCOL [enrol-7]
    const [csr, ...others] = decodePem(body.csr, 'CERTIFICATE REQUEST')
    if (others.length > 0) throw new KeyferryError('ERR_MALFORMED', 'more than one request')
    const { spki } = await parseCsr(csr!)
    const id = await keyId(spki)
    const known = await ca.keysOf(uri)
    const decision = await decide({
      session,
      id,
      csr: csr!,
      known,
      nonce: body.nonce,
      proof: body.proof,
      accept,
      approvals,
      now: time,
    })
    if ('code' in decision) return answer({ code: decision.code, retryAfter: 5 }, 202)
    const { ground } = decision
    const certificates = await certify(csr!, spki, uri, ground === 'first')
    report({ type: 'issued', uri, keyId: id, ground })
    return answer({ certificates })
  }

  return async (request) => {
    let session: EnrolSession | null = null
    let status: number | undefined
    try {
      // PROTOCOL [enrol-1]
      if (request.method !== 'GET' && request.method !== 'POST') throw errorOf('ERR_METHOD')
      checkOrigin(request, origins)
      // PROTOCOL [enrol-3]
      session = await options.session(request)
      status = 401
      if (session === null) throw errorOf('ERR_SESSION')
      status = undefined
      const wait = (await options.limit?.(session, request)) ?? 0
      if (wait > 0) return problem('ERR_QUOTA', 429, { 'retry-after': String(Math.ceil(wait)) })
      if (request.method === 'GET')
        return answer({ csrf: await tokens.csrf(session), ...(await tokens.nonce(session, now())) })
      // PROTOCOL [enrol-4]
      if (!(await tokens.isCsrf(request.headers.get(CSRF_HEADER), session)))
        throw errorOf('ERR_SESSION')
      // PROTOCOL [enrol-1]
      if (request.headers.get('content-type')?.split(';')[0]!.trim().toLowerCase() !== JSON_TYPE)
        throw errorOf('ERR_MEDIA_TYPE')
      return await enrol(
        enrolRequestSchema(await readJsonBody(request, MAX_ENROLMENT), ''),
        session,
      )
    } catch (error) {
      const code = codeOf(error)
      report({ type: 'refused', code, uri: session?.uri ?? null, cause: error })
      return problem(code, status ?? (code === 'ERR_SESSION' ? 403 : undefined))
    }
  }
}
