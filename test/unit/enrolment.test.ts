// The enrolment handler, with a real CA: what each refusal needs, and who may join a URI (docs/PROTOCOL.md, "Enrolment").
import { generateKeyPair, exportJWK, SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { CSRF_HEADER, enrolStatement } from '../../shared/enrol.ts'
import { hex, utf8 } from '../../shared/bytes.ts'
import { decodePem } from '../../shared/pem.ts'
import { createCsr } from '../../shared/csr.ts'
import { derExplicit, derInteger, derSequence } from '../../shared/der.ts'
import { makeName } from '../../shared/csr.ts'
import { encodePem } from '../../shared/pem.ts'
import { validatePath } from '../../shared/path.ts'
import { keyId, signDer } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { approveEnrolment, createMemoryApprovals } from '../../web/enrolment/index.ts'
import { createOidcSession } from '../../web/enrolment/oidc.ts'
import { createIdentity, enrollAt, renewIdentity } from '../../web/enroll.ts'
import { createMemoryStore } from '../../web/index.ts'
import { makeBackend, newKey, ORIGIN, PAGE, prove } from '../lib/enrolment.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { CLIENT_AUTH, DAY, makeCa, random, seconds, uriOf } from '../lib/world.ts'

const now = seconds()
const ca = await makeCa('client', now)
const start = (options = {}) => makeBackend(ca, now, options)
const fetchOf =
  (backend: ReturnType<typeof start>): typeof fetch =>
  (input, init) =>
    backend.handler(new Request(new URL(input as string, ORIGIN), init))
const enrollOf = (backend: ReturnType<typeof start>, name: string, options = {}) =>
  enrollAt('/enroll', {
    fetch: fetchOf(backend),
    headers: { cookie: name, origin: ORIGIN },
    ...options,
  })

describe('enrolment', () => {
  it('gives the page a certificate that the path validation takes, for the URI of the session', async () => {
    const backend = start()
    const store = createMemoryStore()
    const identity = await createIdentity({ name: 'Kim', store, enroll: enrollOf(backend, 'kim') })
    const eku = [CLIENT_AUTH]
    const { certificates } = identity
    const verified = await validatePath({
      certificates,
      anchors: [ca.certificate],
      crls: [ca.crl],
      now,
      eku,
    })
    expect(verified.uri).toBe(uriOf('client', 'kim'))
    const leaf = parseCertificate(certificates[0]!)
    expect(leaf.notAfter).toBe(now + 7 * DAY)
    expect(backend.events).toMatchObject([{ type: 'issued', ground: 'first' }])
    backend.clock.now += 100 * DAY
    const renewed = await renewIdentity({ store, enroll: enrollOf(backend, 'kim') })
    expect(renewed.key.spki).toEqual(identity.key.spki)
    expect(parseCertificate(renewed.certificates[0]!).notAfter).toBe(now + 107 * DAY)
    expect(backend.events.at(-1)).toMatchObject({ type: 'issued', ground: 'known' })
  })

  it('answers the certificates alone, never to be cached', async () => {
    const backend = start()
    const { status, json } = await backend.post('kim', await newKey())
    expect([status, Object.keys(json)]).toEqual([200, ['certificates']])
    const response = await backend.ask({ headers: { cookie: 'kim' } })
    expect(response.headers.get('cache-control')).toBe('no-store')
    const refusal = await backend.ask({ method: 'PUT' })
    expect(refusal.headers.get('cache-control')).toBe('no-store')
    expect(refusal.headers.get('content-type')).toBe('application/problem+json')
  })

  it.each([
    ['[enrol-1] another media type', { 'content-type': 'text/plain' }, 415, 'ERR_MEDIA_TYPE'],
    ['[enrol-2] a foreign page', { origin: 'https://evil.example' }, 403, 'ERR_ORIGIN'],
    ['[enrol-2] an opaque origin', { origin: 'null' }, 403, 'ERR_ORIGIN'],
    [
      '[enrol-2] a page of the same site only',
      { 'sec-fetch-site': 'same-site' },
      403,
      'ERR_ORIGIN',
    ],
    ['[enrol-3] no session', { cookie: 'nobody' }, 401, 'ERR_SESSION'],
    ['[enrol-4] a wrong token', { [CSRF_HEADER]: 'AAAA' }, 403, 'ERR_SESSION'],
  ] as const)('%s is refused', async (_title, headers, status, code) => {
    const backend = start()
    expect(await backend.post('kim', await newKey(), { headers })).toMatchObject({ status, code })
    expect(await backend.issued.keysOf(uriOf('client', 'kim'))).toEqual([])
  })

  it('[enrol-1] another method, a body too large or of another schema is refused', async () => {
    const backend = start()
    expect(
      (await backend.ask({ method: 'PUT', headers: { cookie: 'kim', origin: ORIGIN } })).status,
    ).toBe(405)
    const large = await backend.post('kim', await newKey(), { body: { csr: 'x'.repeat(33_000) } })
    expect(large).toMatchObject({ status: 413, code: 'ERR_TOO_LARGE' })
    const more = await backend.post('kim', await newKey(), {
      body: { uri: uriOf('client', 'ada') },
    })
    expect(more).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
  })

  it('[enrol-2] without an Origin nothing is issued, and no foreign page gets a nonce', async () => {
    const backend = start()
    const { csrf, nonce } = await backend.grant('kim')
    const { origin: _, ...headers } = PAGE
    const body = JSON.stringify({ csr: '', nonce, proof: null })
    const response = await backend.ask({
      method: 'POST',
      headers: { ...headers, cookie: 'kim', [CSRF_HEADER]: csrf },
      body,
    })
    expect(response.status).toBe(403)
    const foreign = { cookie: 'kim', origin: 'https://evil.example' }
    expect((await backend.ask({ headers: foreign })).status).toBe(403)
    expect(
      (await backend.ask({ headers: { cookie: 'kim', 'sec-fetch-site': 'cross-site' } })).status,
    ).toBe(403)
  })

  it("[enrol-4] another session's token and none at all are refused", async () => {
    const backend = start()
    const { csrf } = await backend.grant('ada')
    const key = await newKey()
    expect(await backend.post('kim', key, { headers: { [CSRF_HEADER]: csrf } })).toMatchObject({
      status: 403,
    })
    expect(await backend.post('kim', key, { headers: { [CSRF_HEADER]: '' } })).toMatchObject({
      status: 403,
    })
  })

  it('[enrol-5] a nonce of another session, a changed one and an old one are refused', async () => {
    const backend = start()
    for (const name of ['ada', 'kim-2']) {
      const { nonce } = await backend.grant(name)
      expect(await backend.post('kim', await newKey(), { body: { nonce } })).toMatchObject({
        code: 'ERR_SESSION',
      })
    }
    const { nonce } = await backend.grant('kim')
    const changed = `${nonce[0] === 'A' ? 'B' : 'A'}${nonce.slice(1)}`
    expect(await backend.post('kim', await newKey(), { body: { nonce: changed } })).toMatchObject({
      code: 'ERR_SESSION',
    })
    backend.clock.now += 301
    expect(await backend.post('kim', await newKey(), { body: { nonce } })).toMatchObject({
      code: 'ERR_REQUEST_EXPIRED',
    })
  })

  it('[enrol-5] a nonce does not move to another URI of the same session', async () => {
    const backend = start()
    const { nonce } = await backend.grant('kim')
    backend.sessions['kim'] = { id: 'session-kim', uri: uriOf('client', 'other') }
    expect(await backend.post('kim', await newKey(), { body: { nonce } })).toMatchObject({
      code: 'ERR_SESSION',
    })
  })

  it('[enrol-6] a replayed request is refused', async () => {
    const backend = start()
    const { nonce } = await backend.grant('kim')
    const key = await newKey()
    expect(await backend.post('kim', key, { body: { nonce } })).toMatchObject({ status: 200 })
    expect(await backend.post('kim', key, { body: { nonce } })).toMatchObject({
      status: 409,
      code: 'ERR_REPLAY',
    })
  })

  it('[enrol-7] a request signed by another key is refused, and a name in it is ignored', async () => {
    const backend = start()
    const [key, other] = [await newKey(), await newKey()]
    const tbs = derSequence(
      derInteger(0),
      makeName(uriOf('client', 'ada').slice(0, 60)),
      key.spki,
      derExplicit(0),
    )
    const csrOf = async (by: typeof key) => encodePem('CERTIFICATE REQUEST', await signDer(by, tbs))
    const forged = await backend.post('kim', key, { body: { csr: await csrOf(other) } })
    expect(forged).toMatchObject({ status: 400, code: 'ERR_SIGNATURE' })
    const { json } = await backend.post('kim', key, { body: { csr: await csrOf(key) } })
    const leaf = parseCertificate(decodePem(json['certificates']!, 'CERTIFICATE')[0]!)
    expect(leaf.uris).toEqual([uriOf('client', 'kim')])
  })

  it('[enrol-10] a lifetime above 30 days, a short secret and an origin with a path are refused', () => {
    for (const odd of [
      { lifetime: 31 * DAY },
      { secret: random(16) },
      { origins: [`${ORIGIN}/x`] },
      { origins: [] },
    ])
      expect(() => start(odd)).toThrow(RangeError)
  })

  it('[enrol-10] a certificate of the CA for another URI does not leave', async () => {
    const backend = start()
    const { json } = await backend.post('ada', await newKey())
    const odd = {
      keysOf: () => Promise.resolve([]),
      issue: () => Promise.resolve(json['certificates']!),
    }
    const other = start({ ca: odd })
    expect(await other.post('ada', await newKey())).toMatchObject({
      status: 500,
      code: 'ERR_INTERNAL',
    })
  })

  it('a session over its limit waits', async () => {
    const backend = start({ limit: () => 7 })
    const response = await backend.ask({ headers: { cookie: 'kim' } })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
  })
})

describe('a further key', () => {
  const withFirst = async (options = {}) => {
    const backend = start(options)
    const first = await newKey()
    expect((await backend.post('kim', first)).status).toBe(200)
    return { backend, first, id: await keyId(first.spki), uri: uriOf('client', 'kim') }
  }

  it('[enrol-8] joins with no session alone', async () => {
    const { backend } = await withFirst()
    expect(await backend.post('kim-2', await newKey())).toMatchObject({
      status: 403,
      code: 'ERR_NEW_KEY',
    })
    // Nor when every earlier certificate is over.
    backend.clock.now += 100 * DAY
    expect(await backend.post('kim', await newKey())).toMatchObject({ code: 'ERR_NEW_KEY' })
  })

  it('[enrol-8] joins with a step-up of the last 300 seconds, not an older one or one to come', async () => {
    const { backend, uri } = await withFirst()
    for (const [at, code] of [
      [-301, 'ERR_NEW_KEY'],
      [1, 'ERR_NEW_KEY'],
      [-300, 'ok'],
    ] as const) {
      backend.sessions['kim'] = { id: 'session-kim', uri, steppedUpAt: now + at }
      expect([at, (await backend.post('kim', await newKey())).code]).toEqual([at, code])
    }
  })

  it('[enrol-8] [enrol-9] joins with a proof where the app accepts one', async () => {
    const { backend, first } = await withFirst()
    expect(await backend.post('kim-2', await newKey(), { by: first })).toMatchObject({
      status: 200,
    })
    const strict = await withFirst({ accept: ['step-up'] })
    expect(await strict.backend.post('kim', await newKey(), { by: strict.first })).toMatchObject({
      code: 'ERR_NEW_KEY',
    })
  })

  it('[enrol-9] a proof by a foreign, expired or revoked key is refused', async () => {
    const { backend, first, id, uri } = await withFirst()
    const ada = await newKey()
    await backend.post('ada', ada)
    expect(await backend.post('kim', await newKey(), { by: ada })).toMatchObject({
      code: 'ERR_NEW_KEY',
    })
    backend.clock.now = now + 7 * DAY + 1
    expect(await backend.post('kim', await newKey(), { by: first })).toMatchObject({
      code: 'ERR_NEW_KEY',
    })
    backend.clock.now = now
    backend.issued.revoke(uri, id)
    expect(await backend.post('kim', await newKey(), { by: first })).toMatchObject({
      code: 'ERR_NEW_KEY',
    })
  })

  it('[enrol-9] a proof of another request, nonce or URI is refused', async () => {
    const { backend, first, uri } = await withFirst()
    const { nonce } = await backend.grant('kim')
    const csr = await createCsr(await newKey(), 'device')
    const proof = await prove(first, uri, nonce, csr)
    expect(await backend.post('kim', await newKey(), { body: { proof, nonce } })).toMatchObject({
      code: 'ERR_NEW_KEY',
    })
    const body = { proof, csr: encodePem('CERTIFICATE REQUEST', csr) }
    expect(await backend.post('kim', first, { body })).toMatchObject({ code: 'ERR_NEW_KEY' })
    const odd = { by: first, uri: uriOf('client', 'ada') }
    expect(await backend.post('kim', await newKey(), odd)).toMatchObject({ code: 'ERR_NEW_KEY' })
  })

  it('[enrol-9] the statement is of these bytes', () => {
    // "keyferry/v1/enrol" 00, then 3, 2 and 1 bytes with their lengths.
    expect(hex(enrolStatement('a:b', 'no', Uint8Array.of(0x30)))).toBe(
      `${hex(utf8('keyferry/v1/enrol'))}000003613a6200026e6f000130`,
    )
  })

  it('[enrol-8] joins with an approval, once, for this key and by its own URI', async () => {
    const approvals = createMemoryApprovals()
    const { backend, uri } = await withFirst({ approvals })
    const key = await newKey()
    const { status, code } = await backend.post('kim', key)
    expect(status).toBe(202)
    await expectCode(
      approveEnrolment({ approvals, uri: uriOf('client', 'ada'), code, now }),
      'ERR_NOT_FOUND',
    )
    await expectCode(approveEnrolment({ approvals, uri, code: 'AAAA-AAAA', now }), 'ERR_NOT_FOUND')
    expect((await backend.post('kim', key)).status).toBe(202)
    await expectCode(approveEnrolment({ approvals, uri, code, now: now + 601 }), 'ERR_NOT_FOUND')
    await approveEnrolment({ approvals, uri, code, now })
    expect((await backend.post('kim', await newKey())).status).toBe(202)
    expect((await backend.post('kim', key)).status).toBe(200)
    expect(await approvals.read(uri)).toHaveLength(1)
  })

  it('[enrol-8] a revoked key gets nothing more, and its URI is not free again', async () => {
    const { backend, first, id, uri } = await withFirst()
    backend.issued.revoke(uri, id)
    expect(await backend.post('kim', first)).toMatchObject({ status: 403, code: 'ERR_DENIED' })
    expect(await backend.post('kim', await newKey())).toMatchObject({ code: 'ERR_NEW_KEY' })
  })

  it('[enrol-8] two at once are not both the first', async () => {
    const backend = start()
    const both = [await newKey(), await newKey()].map((key) => backend.post('kim', key))
    expect((await Promise.all(both)).filter(({ status }) => status === 200)).toHaveLength(1)
  })
})

describe('an ID token', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const other = await generateKeyPair('ES256')
  const [issuer, audience] = ['https://id.acme.example', 'notes']
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: '1' }] }
  const session = createOidcSession({
    issuer,
    audience,
    jwks,
    uriOf: ({ sub }) => uriOf('client', sub!),
    nonceOf: () => 'n-1',
    now: () => now,
  })
  const claims = {
    iss: issuer,
    aud: audience,
    sub: 'kim',
    iat: now,
    exp: now + 300,
    nonce: 'n-1',
  }
  const sign = (odd: object = {}, key = privateKey) =>
    new SignJWT({ ...claims, ...odd }).setProtectedHeader({ alg: 'ES256', kid: '1' }).sign(key)
  const ask = async (token: string) =>
    session(new Request(ORIGIN, { headers: { authorization: `Bearer ${token}` } }))

  it('is a session with the URI of its subject', async () => {
    expect(await ask(await sign({ auth_time: now - 5 }))).toMatchObject({
      uri: uriOf('client', 'kim'),
      steppedUpAt: now - 5,
    })
    expect(await session(new Request(ORIGIN))).toBe(null)
  })

  it.each([
    ['[enrol-3] expired', () => sign({ exp: now - 1 })],
    ['[enrol-3] without an end', () => sign({ exp: undefined })],
    ['[enrol-3] for another audience', () => sign({ aud: 'mail' })],
    ['[enrol-3] of another issuer', () => sign({ iss: 'https://evil.example' })],
    ['[enrol-3] with another nonce', () => sign({ nonce: 'n-2' })],
    ['[enrol-3] made for another party', () => sign({ aud: ['notes', 'mail'], azp: 'mail' })],
    ['[enrol-3] by another key', () => sign({}, other.privateKey)],
    [
      '[enrol-3] with algorithm none',
      () => Promise.resolve(new UnsecuredJWT(claims as never).encode()),
    ],
    [
      '[enrol-3] with the public key as HMAC secret',
      () =>
        new SignJWT(claims as never)
          .setProtectedHeader({ alg: 'HS256', kid: '1' })
          .sign(utf8(JSON.stringify(jwks.keys[0]))),
    ],
  ])('%s is none', async (_title, token) => {
    expect(await ask(await token())).toBe(null)
  })

  it('[enrol-3] nothing but public-key algorithms can be listed', () => {
    const odd = { issuer, audience, jwks, uriOf: () => null, algorithms: ['HS256' as never] }
    expect(() => createOidcSession(odd)).toThrow(RangeError)
  })
})
