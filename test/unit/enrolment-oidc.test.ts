/** Sessions from ID tokens, with the issuer's keys from a real server: their rotation, and what it may not come to. */
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWK } from 'jose'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type FindSession } from '../../web/enrolment/index.ts'
import { createOidcSession } from '../../web/enrolment/oidc.ts'
import { enrollAt, createIdentity } from '../../web/enroll.ts'
import { createMemoryStore } from '../../web/index.ts'
import { makeBackend, makeCa, ORIGIN } from '../lib/enrolment.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seconds, uriOf } from '../lib/world.ts'

const AUDIENCE = 'notes-app'
const ca = await makeCa('client', seconds())

interface IssuerKey {
  kid: string
  privateKey: CryptoKey
  jwk: JWK
}

async function makeKey(kid: string): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256' } }
}

const [one, two] = [await makeKey('1'), await makeKey('2')]
let server: Server
let issuer: string
let calls: number
let answer: (response: ServerResponse) => void
let session: FindSession

const serve =
  (...keys: IssuerKey[]) =>
  (response: ServerResponse): void => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
  }

const claims = (odd: object = {}): Record<string, unknown> => {
  const iat = seconds()
  return { iss: issuer, aud: AUDIENCE, sub: 'kim', iat, exp: iat + 3_600, ...odd }
}

const sign = ({ kid, privateKey }: IssuerKey, odd: object = {}): Promise<string> =>
  new SignJWT(claims(odd)).setProtectedHeader({ alg: 'RS256', kid }).sign(privateKey)

const requestOf = (token: string): Request =>
  new Request(ORIGIN, { headers: { authorization: `Bearer ${token}` } })

/** The URI of the session of a token; `null` for none. */
const uriFor = async (token: string): Promise<string | null> =>
  (await session(requestOf(token)))?.uri ?? null

beforeEach(async () => {
  calls = 0
  answer = serve(one)
  server = createServer((_request, response) => {
    calls++
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  session = sessionAt(new URL('/keys', issuer))
})
afterEach(async () => {
  vi.useRealTimers()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

function sessionAt(jwks: URL): FindSession {
  const find = (sub: string | undefined): string => uriOf('client', sub!)
  return createOidcSession({ issuer, audience: AUDIENCE, jwks, uriOf: ({ sub }) => find(sub) })
}

/** The clock goes on by so many seconds. */
function pass(time: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + time * 1_000 })
}

describe('the keys of an issuer, from its address', () => {
  it('are fetched once, and speak for its tokens', async () => {
    for (let i = 0; i < 3; i++) expect(await uriFor(await sign(one))).toBe(uriOf('client', 'kim'))
    expect(calls).toBe(1)
  })

  it('are rotated: the new key counts, and the old one no more', async () => {
    const [first, second] = [await sign(one), await sign(two)]
    expect(await uriFor(first)).toBe(uriOf('client', 'kim'))
    expect(await uriFor(second)).toBe(null)
    answer = serve(two)
    // An unknown key is no reason to ask the issuer each time.
    expect([await uriFor(second), calls]).toEqual([null, 1])
    pass(31)
    expect([await uriFor(second), calls]).toEqual([uriOf('client', 'kim'), 2])
    expect(await uriFor(first)).toBe(null)
  })

  it('[enrol-3] of another issuer, and its word, count nothing here', async () => {
    expect(await uriFor(await sign(one, { iss: 'https://evil.example' }))).toBe(null)
    expect(await uriFor(await sign(one, { iss: `${issuer}/` }))).toBe(null)
    // Another issuer's key under the kid of ours, and one that the token brings itself.
    expect(await uriFor(await sign({ ...two, kid: '1' }))).toBe(null)
    const own = new SignJWT(claims())
    own.setProtectedHeader({ alg: 'RS256', kid: '1', jwk: two.jwk, jku: 'https://evil.example' })
    expect(await uriFor(await own.sign(two.privateKey))).toBe(null)
  })

  it('[enrol-3] never count for "none" or as the secret of an HMAC, and are not even asked for', async () => {
    const unsigned = new UnsecuredJWT(claims()).encode()
    expect(await uriFor(unsigned)).toBe(null)
    const secrets = [JSON.stringify(one.jwk), one.jwk.n!, JSON.stringify({ keys: [one.jwk] })]
    for (const secret of secrets) {
      const hmac = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: '1' })
      expect(await uriFor(await hmac.sign(new TextEncoder().encode(secret)))).toBe(null)
    }
    expect(calls).toBe(0)
  })

  it('[enrol-3] that are a shared secret are no keys', async () => {
    const secret = crypto.getRandomValues(new Uint8Array(32))
    const k = Buffer.from(secret).toString('base64url')
    answer = (response) =>
      response.end(JSON.stringify({ keys: [{ kty: 'oct', k, kid: '1', alg: 'HS256' }] }))
    const hmac = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: '1' })
    expect(await uriFor(await hmac.sign(secret))).toBe(null)
  })

  it('have an https address, or one on this machine', () => {
    for (const bad of ['http://id.acme.example/keys', 'file:///keys', 'data:,{}'])
      expect(() => sessionAt(new URL(bad)), bad).toThrow(RangeError)
    for (const good of ['https://id.acme.example/keys', 'http://localhost:1/', 'http://[::1]:1/'])
      sessionAt(new URL(good))
  })
})

describe('keys that cannot be had', () => {
  const answers: [string, (response: ServerResponse) => void][] = [
    ['an error', (response) => response.writeHead(500).end()],
    ['no JSON', (response) => response.end('<html>')],
    ['no keys', (response) => response.end('{"keys":{}}')],
    ['a redirect', (response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['a connection that breaks', (response) => response.destroy()],
  ]
  it.each(answers)('%s is an error of its own, and no refusal', async (_what, bad) => {
    answer = bad
    await expectCode(uriFor(await sign(one)), 'ERR_ENROLMENT')
    answer = serve(one)
    expect(await uriFor(await sign(one))).toBe(uriOf('client', 'kim'))
  })

  it('with the issuer away: 503, a device keeps what it has and tries again', async () => {
    const token = await sign(one)
    const backend = makeBackend(ca, seconds(), { session: (request) => session(request) })
    const send: typeof fetch = (input, init) =>
      backend.handler(new Request(new URL(input as string, ORIGIN), init))
    const headers = { origin: ORIGIN, authorization: `Bearer ${token}` }
    const enroll = enrollAt('/enroll', { fetch: send, headers })
    const create = () => createIdentity({ name: 'kim', store: createMemoryStore(), enroll })
    const away = createServer()
    await new Promise<void>((resolve) => away.listen(0, '127.0.0.1', resolve))
    const { port } = away.address() as AddressInfo
    await new Promise((resolve) => away.close(resolve))
    session = sessionAt(new URL(`http://127.0.0.1:${port}/keys`))
    const response = await backend.ask({ headers })
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ code: 'ERR_ENROLMENT' })
    await expectCode(create(), 'ERR_ENROLMENT')
    expect(backend.events.at(-1)).toMatchObject({ type: 'refused', code: 'ERR_ENROLMENT' })
    expect(await backend.issued.keysOf(uriOf('client', 'kim'))).toEqual([])
    session = sessionAt(new URL('/keys', issuer))
    await create()
    expect(await backend.issued.keysOf(uriOf('client', 'kim'))).toHaveLength(1)
  })

  it('do not end what is known: tokens under fetched keys go on', async () => {
    expect(await uriFor(await sign(one))).not.toBe(null)
    answer = (response) => response.destroy()
    pass(31)
    await expectCode(uriFor(await sign(two)), 'ERR_ENROLMENT')
    expect(await uriFor(await sign(one))).not.toBe(null)
  })
})
