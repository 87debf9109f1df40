/** An app's backend for tests of enrolment: real CA, real handler, a session in a header, a clock to set. */
import { CSRF_HEADER, enrolStatement, type EnrolGrant } from '../../shared/enrol.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey, signBytes, type SigningKey } from '../../shared/signature.ts'
import {
  createCa,
  createEnrolment,
  createMemoryApprovals,
  createMemoryIssued,
  type EnrolmentEvent,
  type EnrolmentOptions,
  type EnrolSession,
} from '../../web/enrolment/index.ts'
import { makeCa, random, uriOf, type Ca } from './world.ts'

export const ORIGIN = 'https://app.acme.example'

/** Headers that a page of the app sends with `POST`. */
export const PAGE = {
  origin: ORIGIN,
  'sec-fetch-site': 'same-origin',
  'content-type': 'application/json',
}

export function makeBackend(ca: Ca, start: number, options: Partial<EnrolmentOptions> = {}) {
  const clock = { now: start }
  const now = (): number => clock.now
  const sessions: Record<string, EnrolSession> = {
    kim: { id: 'session-kim', uri: uriOf('client', 'kim') },
    'kim-2': { id: 'session-kim-2', uri: uriOf('client', 'kim') },
    ada: { id: 'session-ada', uri: uriOf('client', 'ada') },
  }
  const issued = createMemoryIssued()
  const approvals = createMemoryApprovals()
  const events: EnrolmentEvent[] = []
  const handler = createEnrolment({
    ca: createCa({ issuer: ca, issued, now }),
    session: (request) => sessions[request.headers.get('cookie') ?? ''] ?? null,
    secret: random(32),
    origins: [ORIGIN],
    now,
    report: (event) => events.push(event),
    ...options,
  })
  const ask = (init: RequestInit) => handler(new Request(`${ORIGIN}/enroll`, init))
  const grant = async (name: string) =>
    (await (await ask({ headers: { cookie: name } })).json()) as EnrolGrant
  /** A whole enrolment by hand, each part of which a test may change. */
  async function post(
    name: string,
    key: SigningKey,
    odd: { headers?: Record<string, string>; body?: object; by?: SigningKey; uri?: string } = {},
  ): Promise<{ status: number; code: string; json: Record<string, string> }> {
    const { csrf, nonce } = await grant(name)
    const csr = await createCsr(key, 'device')
    const proof = odd.by && (await prove(odd.by, odd.uri ?? sessions[name]!.uri, nonce, csr))
    const response = await ask({
      method: 'POST',
      headers: { ...PAGE, cookie: name, [CSRF_HEADER]: csrf, ...odd.headers },
      body: JSON.stringify({
        csr: encodePem('CERTIFICATE REQUEST', csr),
        nonce,
        proof: proof ?? null,
        ...odd.body,
      }),
    })
    const json = (await response.json()) as Record<string, string>
    return { status: response.status, code: json['code'] ?? 'ok', json }
  }
  return { clock, sessions, issued, approvals, events, handler, ask, grant, post }
}

export async function prove(key: SigningKey, uri: string, nonce: string, csr: Bytes) {
  const signature = await signBytes(key, enrolStatement(uri, nonce, csr))
  return { key: base64url(key.spki), signature: base64url(signature) }
}

export const newKey = (): Promise<SigningKey> => generateSigningKey('Ed25519', false)
export { makeCa }
