/** Asks an app's own backend for a certificate (docs/PROTOCOL.md, "Enrolment"); the other side is `keyferry/enrolment`. */
import { JSON_TYPE } from '../shared/api.ts'
import { base64url, type Bytes } from '../shared/bytes.ts'
import {
  CSRF_HEADER,
  enrolAnswerSchema,
  enrolGrantSchema,
  enrolPendingSchema,
  enrolStatement,
  MAX_ENROLMENT,
} from '../shared/enrol.ts'
import { ERROR_CODES, errorOf } from '../shared/error-codes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { parseJson } from '../shared/json.ts'
import { decodePem } from '../shared/pem.ts'
import { signBytes } from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { readBounded, sleep } from './bounded.ts'
import { type Identity } from './identity.ts'

/** Brings a certification request (PEM) to the CA and returns certificates; `current` is the identity that is replaced or renewed. */
export type Enroll = (csrPem: string, current?: Identity | null) => Promise<string>

/** Options of {@link enrollAt}. */
export interface EnrollOptions {
  fetch?: typeof fetch
  /** For every call: an ID token, or `Origin` where no browser sends it. */
  headers?: Record<string, string>
  /** Shows the code that somebody has to approve, as on another device of the user. */
  onPending?: (code: string) => void
  /** Ends the wait. */
  signal?: AbortSignal
}

/** Milliseconds for one call. */
const TIMEOUT = 30_000

function failed(json: unknown, status: number): KeyferryError {
  const code = (json as { code?: unknown } | null)?.code
  const isKnown = typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
  return isKnown && status < 500 && code !== 'ERR_QUOTA'
    ? errorOf(code as ErrorCode)
    : new KeyferryError('ERR_ENROLMENT', `the enrolment answers ${status}`)
}

async function prove(current: Identity, nonce: string, csr: Bytes) {
  const [uri] = parseCertificate(current.certificates[0]!).uris
  const signature = await signBytes(current.key, enrolStatement(uri ?? '', nonce, csr))
  return { key: base64url(current.key.spki), signature: base64url(signature) }
}

/**
 * Enrols at an address of the app's own origin. The function throws the code of a refusal: `ERR_SESSION` when the user has to log in, `ERR_NEW_KEY` when a
 * further device needs a step-up or approval, `ERR_DENIED` for a revoked key; `ERR_ENROLMENT` when there is no useful answer.
 *
 * @example
 * const enroll = enrollAt('/enroll')
 * const identity = await openIdentity({ name: 'me', store, enroll })
 */
export function enrollAt(url: string | URL, options: EnrollOptions = {}): Enroll {
  const { headers = {}, onPending, signal } = options
  const send: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init))

  async function call(init: RequestInit): Promise<{ status: number; json: unknown }> {
    const ends = AbortSignal.any([AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])])
    try {
      const response = await send(url, {
        ...init,
        headers: { ...headers, ...(init.headers as Record<string, string>) },
        signal: ends,
        credentials: 'same-origin',
        redirect: 'error',
        cache: 'no-store',
      })
      const json = parseJson(await readBounded(response, MAX_ENROLMENT, ends), MAX_ENROLMENT)
      if (!response.ok) throw failed(json, response.status)
      return { status: response.status, json }
    } catch (cause) {
      signal?.throwIfAborted()
      const isRefusal = isKeyferryError(cause) && cause.code !== 'ERR_MALFORMED'
      throw isRefusal ? cause : new KeyferryError('ERR_ENROLMENT', 'no useful answer', { cause })
    }
  }

  return async (csrPem, current = null) => {
    const [csr] = decodePem(csrPem, 'CERTIFICATE REQUEST')
    for (let shown = ''; ;) {
      const grant = enrolGrantSchema((await call({})).json, '')
      const proof = current === null ? null : await prove(current, grant.nonce, csr!)
      const { status, json } = await call({
        method: 'POST',
        headers: { 'content-type': JSON_TYPE, [CSRF_HEADER]: grant.csrf },
        body: JSON.stringify({ csr: csrPem, nonce: grant.nonce, proof }),
      })
      if (status !== 202) return enrolAnswerSchema(json, '').certificates
      const { code, retryAfter } = enrolPendingSchema(json, '')
      if (code !== shown) onPending?.(code)
      if (onPending === undefined)
        throw new KeyferryError('ERR_NEW_KEY', `waits for approval: ${code}`)
      shown = code
      await sleep(retryAfter * 1_000, signal ?? new AbortController().signal)
    }
  }
}
