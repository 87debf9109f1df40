/** Vectors of enrolment: bodies, certification requests, and which key may be certified for a URI. */
import { base64url, concat, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { createCsr, makeName } from '../../shared/csr.ts'
import { derExplicit, derInteger, derSequence } from '../../shared/der.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import { keyId, signBytes, signDer, type SigningKey } from '../../shared/signature.ts'
import { makeEd25519, seeded } from './fixtures-keys.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, NOW } from './fixtures.ts'

const URI = 'keyferry://client.acme.example/ada'
const NONCE = base64url(seeded('enrolment nonce', 56))

/** What a proof signs, written down once more. */
function statementOf(uri: string, nonce: string, csr: Bytes): Bytes {
  const fields = [utf8(uri), utf8(nonce), csr]
  return concat(utf8('keyferry/v1/enrol\0'), ...fields.map(lengthPrefixed))
}

function bodyVectors(csr: Bytes): object {
  const proof = { key: base64url(seeded('key', 44)), signature: base64url(seeded('sig', 64)) }
  const request = { csr: hex(csr), nonce: NONCE, proof }
  const grant = { csrf: base64url(seeded('csrf')), expiresAt: NOW + 300, nonce: NONCE }
  const pending = { code: 'ABCD-2345', retryAfter: 5 }
  const item = (comment: string, kind: string, json: object, expect: Vector['expect'] = 'ok') =>
    vector(comment, { kind, json }, expect)
  const bad = (comment: string, kind: string, json: object) =>
    item(comment, kind, json, 'ERR_SCHEMA')
  const odd = (edit: object) => ({ ...request, proof: { ...proof, ...edit } })
  return [
    item('a request', 'request', { ...request, proof: null }),
    item('a request with a proof', 'request', request),
    bad('[enrol-1] a field too many', 'request', { ...request, uri: URI }),
    bad('[enrol-1] without a proof or null', 'request', { csr: request.csr, nonce: NONCE }),
    bad('[enrol-1] no nonce', 'request', { ...request, nonce: '' }),
    bad('[enrol-1] a nonce of other characters', 'request', { ...request, nonce: 'a+b' }),
    bad('[enrol-1] a nonce of 301 characters', 'request', { ...request, nonce: 'a'.repeat(301) }),
    bad('[enrol-1] a key of 43 bytes', 'request', odd({ key: base64url(seeded('key', 43)) })),
    bad(
      '[enrol-1] a signature of 63 bytes',
      'request',
      odd({ signature: base64url(seeded('s', 63)) }),
    ),
    item(
      '[enrol-1] a signature with an unused bit set',
      'request',
      odd({ signature: proof.signature.replace(/.$/, 'B') }),
      'ERR_NOT_CANONICAL',
    ),
    item('a grant', 'grant', grant),
    bad('[dec-3] a grant that never ends', 'grant', { ...grant, expiresAt: 0 }),
    bad('[dec-3] a grant without a token', 'grant', { ...grant, csrf: null }),
    item('certificates', 'answer', { certificates: '-----BEGIN CERTIFICATE-----' }),
    bad('[dec-3] certificates as a list', 'answer', { certificates: [] }),
    item('a code to approve', 'pending', pending),
    bad('[dec-3] a code of other characters', 'pending', { ...pending, code: 'ABCD-0189' }),
    bad('[dec-3] a wait of an hour and a second', 'pending', { ...pending, retryAfter: 3_601 }),
  ]
}

async function csrVectors(key: SigningKey, other: SigningKey): Promise<object> {
  const csr = await createCsr(key, 'phone')
  const signed = (spki: Bytes, name: Bytes, by: SigningKey) =>
    signDer(by, derSequence(derInteger(0), name, spki, derExplicit(0)))
  const bad = (comment: string, bytes: Bytes, expect: Vector['expect']) =>
    vector(comment, hex(bytes), expect)
  const weak = concat(key.spki.slice(0, 12), Uint8Array.of(1), new Uint8Array(31))
  const last = csr.length - 1
  return [
    vector('a certification request', hex(csr), 'ok', {
      commonName: 'phone',
      spki: hex(key.spki),
    }),
    bad(
      '[enrol-7] signed by another key',
      await signed(key.spki, makeName('phone'), other),
      'ERR_SIGNATURE',
    ),
    bad('[enrol-7] a changed signature', csr.with(last, csr[last]! ^ 1), 'ERR_SIGNATURE'),
    bad(
      '[enrol-7] a key of small order',
      await signed(weak, makeName('phone'), key),
      'ERR_WEAK_KEY',
    ),
    bad('[enrol-7] no common name', await signed(key.spki, derSequence(), key), 'ERR_CERT_PROFILE'),
    bad('[enrol-7] a byte too many', concat(csr, Uint8Array.of(0)), 'ERR_MALFORMED'),
  ]
}

export async function enrolmentVectors(): Promise<object> {
  const [first, second, foreign, late, gone] = (await Promise.all(
    ['first', 'second', 'foreign', 'late', 'gone'].map((name) => makeEd25519(`enrolment ${name}`)),
  )) as [SigningKey, SigningKey, SigningKey, SigningKey, SigningKey]
  const known = async (key: SigningKey, notAfter: number, isRevoked = false) => ({
    keyId: hex(await keyId(key.spki)),
    notAfter,
    isRevoked,
  })
  const all = [
    await known(first, NOW),
    await known(late, NOW - 1),
    await known(gone, NOW + DAY, true),
  ]
  const [csr, another] = [await createCsr(second, 'phone'), await createCsr(second, 'tablet')]
  const proof = async (by: SigningKey, uri = URI, nonce = NONCE, request = csr) => ({
    key: hex(by.spki),
    signature: hex(await signBytes(by, statementOf(uri, nonce, request))),
  })
  const input = {
    uri: URI,
    id: hex(await keyId(second.spki)),
    csr: hex(csr),
    nonce: NONCE,
    known: all,
    proof: null,
    steppedUpAt: null,
    accept: ['proof', 'step-up'],
    now: NOW,
  }
  const may = (comment: string, edit: object, ground: string) =>
    vector(comment, { ...input, ...edit }, 'ok', { ground })
  const mayNot = (comment: string, edit: object, expect: Vector['expect'] = 'ERR_NEW_KEY') =>
    vector(comment, { ...input, ...edit }, expect)
  const unproven = async (comment: string, ...how: Parameters<typeof proof>) =>
    mayNot(`[enrol-9] ${comment}`, { proof: await proof(...how) })
  const good = await proof(first)
  const statements = [
    ['a:b', 'no', Uint8Array.of(0x30)],
    [URI, NONCE, csr],
  ] as const
  return {
    comment:
      '`statements` are what a proof signs. `bodies` are of the schemas of request, grant (answer to GET), answer (200) and pending (202). `keys`: whether the key `id` of a request for `uri` may be certified, where `known` are the keys that have or had a certificate for it.',
    statements: statements.map(([uri, nonce, request]) =>
      vector(
        '[enrol-9] the statement',
        { uri, nonce, csr: hex(request) },
        'ok',
        hex(statementOf(uri, nonce, request)),
      ),
    ),
    bodies: bodyVectors(csr),
    requests: await csrVectors(second, first),
    keys: [
      may('the first key', { known: [] }, 'first'),
      may('a known key', { id: all[0]!.keyId }, 'known'),
      may('a known key whose certificates are over', { id: all[1]!.keyId }, 'known'),
      may('a proof', { proof: good }, 'proof'),
      may('a step-up', { steppedUpAt: NOW - 300 }, 'step-up'),
      mayNot('[enrol-8] a revoked key', { id: all[2]!.keyId }, 'ERR_DENIED'),
      mayNot('[enrol-8] a further key with nothing', {}),
      mayNot('[enrol-8] a further key where every earlier one is over', { known: [all[1]!] }),
      mayNot('[enrol-8] a proof where none is accepted', { proof: good, accept: ['step-up'] }),
      mayNot('[enrol-8] a step-up of 301 seconds ago', { steppedUpAt: NOW - 301 }),
      mayNot('[enrol-8] a step-up to come', { steppedUpAt: NOW + 1 }),
      mayNot('[enrol-8] a step-up where none is accepted', { steppedUpAt: NOW, accept: ['proof'] }),
      await unproven('a proof by a stranger', foreign),
      await unproven('a proof by a key whose certificate is over', late),
      await unproven('a proof by a revoked key', gone),
      await unproven('a proof for another URI', first, `${URI}2`),
      await unproven('a proof for another nonce', first, URI, `${NONCE}A`),
      await unproven('a proof for another request', first, URI, NONCE, another),
      mayNot('[enrol-9] a proof signed by another key than it names', {
        proof: { ...(await proof(foreign)), key: hex(first.spki) },
      }),
      mayNot('[enrol-9] a proof of this kind, with a step-up beside it', {
        proof: await proof(foreign),
        steppedUpAt: NOW,
      }),
    ],
  }
}
