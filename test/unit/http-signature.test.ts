// HTTP message signatures in the one profile: what is signed, and every other form refused.
import { beforeAll, describe, expect, it } from 'vitest'
import { base64url, fromBase64url, fromUtf8, utf8 } from '../../shared/bytes.ts'
import {
  contentDigest,
  readCallHead,
  requireDigest,
  signCall,
  verifyCall,
  type Call,
} from '../../shared/http-signature.ts'
import { readCall } from '../vectors/read-call.ts'
import { sha256 } from '../../shared/hash.ts'
import { importVerifyKey, signBytes, verifySignature } from '../../shared/signature.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, makeP256 } from '../lib/fixtures-keys.ts'
import { makeIdentity, makeTenant, NOW, type Identity, type Tenant } from '../lib/fixtures.ts'

let tenant: Tenant
let alice: Identity
let good: Record<string, string>
const call: Call = {
  method: 'POST',
  url: new URL('https://relay.example/v1/tenant/calls?after=1'),
  body: utf8('{"hello": "world"}'),
}

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeIdentity(tenant.clients, 'client', 'alice')
  good = await signCall(call, alice, NOW)
})

const header = (headers: Record<string, string>) => (name: string) => headers[name]
const certificate = (identity = alice) => ({
  fingerprint: identity.fingerprint,
  spki: identity.key.spki,
})
const check = async (headers: Record<string, string>, edit: Partial<Call> = {}, now = NOW) =>
  verifyCall(readCall({ ...call, ...edit }, header(headers)), certificate(), now, 60)
const refuses = (headers: Record<string, string>, edit: Partial<Call> = {}, now = NOW) =>
  expectCode(check({ ...good, ...headers }, edit, now), 'ERR_UNAUTHORIZED')

/** Already the reading fails. */
const reads = (headers: Record<string, string>) =>
  expectCode(() => readCall(call, header({ ...good, ...headers })), 'ERR_UNAUTHORIZED')

describe('what is signed', () => {
  it('has the form of RFC 9421 and RFC 9530', async () => {
    expect(await contentDigest(utf8('{"hello": "world"}'))).toBe(
      'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
    )
    const keyid = base64url(alice.fingerprint)
    const parameters = `("@method" "@authority" "@path" "@query" "content-digest");created=${NOW};expires=${NOW + 60};keyid="${keyid}";tag="keyferry"`
    expect(good['signature-input']).toBe(`keyferry=${parameters}`)
    const { base } = readCall(call, header(good))
    expect(fromUtf8(base)).toBe(
      [
        '"@method": POST',
        '"@authority": relay.example',
        '"@path": /v1/tenant/calls',
        '"@query": ?after=1',
        `"content-digest": ${good['content-digest']}`,
        `"@signature-params": ${parameters}`,
      ].join('\n'),
    )
  })

  it('a query that is not there is "?", a port is part of the authority', async () => {
    const local = { ...call, url: new URL('http://localhost:8787/x') }
    const headers = await signCall(local, alice, NOW)
    const base = fromUtf8(readCall(local, header(headers)).base)
    expect(base).toContain('"@query": ?\n')
    expect(base).toContain('"@authority": localhost:8787\n')
  })

  it('is verified, with keys of both kinds', async () => {
    await check(good)
    const two = await makeIdentity(tenant.clients, 'client', 'two', await makeP256('two'))
    const headers = await signCall(call, two, NOW)
    await verifyCall(readCall(call, header(headers)), certificate(two), NOW, 60)
  })
})

describe('a call whose body was not read yet', () => {
  it('[relay-2] is over the digest that it claims, which has to be that of the body', async () => {
    const head = readCallHead(call, header(good))
    await verifyCall(head, certificate(), NOW, 60)
    requireDigest(head, sha256(call.body))
    await expectCode(() => requireDigest(head, sha256(utf8('{}'))), 'ERR_UNAUTHORIZED')
    const other = { ...good, 'content-digest': await contentDigest(utf8('{}')) }
    const bent = readCallHead(call, header(other))
    await expectCode(verifyCall(bent, certificate(), NOW, 60), 'ERR_UNAUTHORIZED')
    for (const digest of ['sha-256=:AAAA:', `${good['content-digest']}, sha-512=:AAAA:`]) {
      const read = () => readCallHead(call, header({ ...good, 'content-digest': digest }))
      await expectCode(read, 'ERR_UNAUTHORIZED')
    }
  })
})

describe('examples of RFC 9421', () => {
  const fromBase64 = (text: string) =>
    fromBase64url(text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''))

  // Their components are not those of the profile: what fits of them is the signature over a base, and how its lines are written.
  it.each([
    [
      'B.2.6, Ed25519',
      'MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=',
      'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==',
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      ],
    ],
    [
      'B.2.4, P-256',
      'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==',
      'wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==',
      [
        '"@status": 200',
        '"content-type": application/json',
        '"content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:',
        '"content-length": 23',
        '"@signature-params": ("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"',
      ],
    ],
  ])('%s: the signature verifies, over this base alone', async (_, spki, signature, lines) => {
    const key = await importVerifyKey(fromBase64(spki))
    const verify = (base: string) => verifySignature(key, fromBase64(signature), utf8(base))
    expect(await verify(lines.join('\n'))).toBe(true)
    expect(await verify(`${lines.join('\n')}\n`)).toBe(false)
  })

  it('§2.2: method, authority, path and query are written as there', async () => {
    const lineOf = async (href: string, name: string) => {
      const one = { method: 'POST', url: new URL(href), body: utf8('') }
      const headers = await signCall(one, alice, NOW)
      const lines = fromUtf8(readCall(one, header(headers)).base).split('\n')
      return lines.find((line) => line.startsWith(`"${name}"`))
    }
    const path = 'https://www.example.com/path'
    expect(await lineOf(`${path}?param=value`, '@method')).toBe('"@method": POST')
    expect(await lineOf('https://WWW.example.com:443/path', '@authority')).toBe(
      '"@authority": www.example.com',
    )
    expect(await lineOf(`${path}?param=value`, '@path')).toBe('"@path": /path')
    expect(await lineOf(`${path}?param=value&foo=bar&baz=bat%2Dman`, '@query')).toBe(
      '"@query": ?param=value&foo=bar&baz=bat%2Dman',
    )
    expect(await lineOf(`${path}?queryString`, '@query')).toBe('"@query": ?queryString')
    expect(await lineOf(path, '@query')).toBe('"@query": ?')
  })
})

describe('a call', () => {
  it.each(['content-digest', 'signature-input', 'signature', 'keyferry-certificates'])(
    '[relay-2] without %s is ERR_UNAUTHORIZED',
    async (name) => {
      const { [name]: _, ...rest } = good
      await expectCode(check(rest), 'ERR_UNAUTHORIZED')
      await refuses({ [name]: 'x'.repeat(40_000) })
      if (name !== 'keyferry-certificates') await refuses({ [name]: '' })
    },
  )

  it('[relay-2] with another body is ERR_UNAUTHORIZED', async () => {
    await refuses({}, { body: utf8('{}') })
    await refuses({ 'content-digest': await contentDigest(utf8('{}')) })
    const sha512 = good['content-digest']!.replace('sha-256', 'sha-512')
    await refuses({ 'content-digest': sha512 })
  })

  it('[relay-2] with another form of signature input is ERR_UNAUTHORIZED', async () => {
    const input = good['signature-input']!
    for (const other of [
      input.replace('keyferry=', 'other='),
      input.replace('"@query" ', ''),
      input.replace('"@method" "@authority"', '"@authority" "@method"'),
      input.replace(';tag="keyferry"', ''),
      input.replace('tag="keyferry"', 'tag="keyferry-ticket"'),
      input.replace(';expires=', ';nonce="x";expires='),
      input.replace(/;expires=\d+/, ''),
      input.replace(/created=\d+/, 'created=-1'),
      input.replace(/created=\d+/, `created=${'9'.repeat(16)}`),
      `${input}, other=()`,
      ` ${input}`,
      input.replace(/keyid="[^"]+"/, 'keyid="x"'),
    ]) {
      await refuses({ 'signature-input': other })
    }
  })

  it('[relay-2] another form is ERR_UNAUTHORIZED, also where the signature is over it', async () => {
    const parameters = good['signature-input']!.slice('keyferry='.length)
    const signed = async (other: string) => {
      const base = fromUtf8(readCall(call, header(good)).base).replace(parameters, other)
      const signature = Buffer.from(await signBytes(alice.key, utf8(base))).toString('base64')
      const headers = {
        'signature-input': `keyferry=${other}`,
        signature: `keyferry=:${signature}:`,
      }
      return check({ ...good, ...headers })
    }
    await signed(parameters)
    for (const other of [
      parameters.replace('"@method" "@authority"', '"@authority" "@method"'),
      parameters.replace(' "content-digest"', ''),
      parameters.replace('tag="keyferry"', 'tag="keyferry-ticket"'),
    ]) {
      await expectCode(signed(other), 'ERR_UNAUTHORIZED')
    }
  })

  it('[relay-3] with the keyid of another certificate it is ERR_UNAUTHORIZED', async () => {
    const read = readCall(call, header(good))
    const fingerprint = read.keyid.with(0, read.keyid[0]! ^ 1)
    const other = { ...certificate(), fingerprint }
    await expectCode(verifyCall(read, other, NOW, 60), 'ERR_UNAUTHORIZED')
  })

  it('[relay-2] a keyid in another spelling is ERR_UNAUTHORIZED', async () => {
    const keyid = base64url(alice.fingerprint)
    const last = keyid.at(-1)!
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const next = letters[letters.indexOf(last) + 1]!
    const input = good['signature-input']!.replace(keyid, keyid.slice(0, -1) + next)
    await reads({ 'signature-input': input })
  })

  it('[relay-2] base64 in any other than its one spelling is ERR_UNAUTHORIZED', async () => {
    const signature = good['signature']!
    const certificates = good['keyferry-certificates']!
    expect(signature.endsWith('==:')).toBe(true)
    // 64 bytes end in a letter with four unused bits.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = signature.at(-4)!
    const unused = `${signature.slice(0, -4)}${letters[letters.indexOf(last) + 1]!}==:`
    for (const other of [
      signature.replace('==:', '=:'),
      signature.replace('==:', ':'),
      signature.replace('==:', '===:'),
      signature.replace('==:', 'A==:'),
      signature.replaceAll('+', '-').replaceAll('/', '_').replace('keyferry=:', 'keyferry=:_'),
      unused,
    ]) {
      await reads({ signature: other })
    }
    for (const other of [`${certificates}=`, `${certificates}+`, `!${certificates}`, 'A', 'AB'])
      await reads({ 'keyferry-certificates': other })
  })

  it('[relay-2] a method, authority, path or query that changed is ERR_UNAUTHORIZED', async () => {
    await refuses({}, { method: 'PUT' })
    for (const url of [
      'https://evil.example/v1/tenant/calls?after=1',
      'https://relay.example/v1/other/calls?after=1',
      'https://relay.example/v1/tenant/calls?after=2',
      'https://relay.example/v1/tenant/calls',
      'https://relay.example:444/v1/tenant/calls?after=1',
    ]) {
      await refuses({}, { url: new URL(url) })
    }
  })

  it('[relay-2] outside its window and the skew it is ERR_UNAUTHORIZED', async () => {
    for (const now of [NOW - 60, NOW + 120]) await check(good, {}, now)
    for (const now of [NOW - 61, NOW + 121]) await refuses({}, {}, now)
  })

  it('[relay-2] with a window of more than 60 s, or one that ends first, it is ERR_UNAUTHORIZED', async () => {
    const read = readCall(call, header(good))
    const window = (created: number, expires: number) =>
      verifyCall({ ...read, created, expires }, certificate(), NOW, 60)
    await window(NOW, NOW + 60)
    await expectCode(window(NOW, NOW + 61), 'ERR_UNAUTHORIZED')
    await expectCode(window(NOW + 1, NOW), 'ERR_UNAUTHORIZED')
  })

  it('[relay-2] with more than 4 certificates it is ERR_UNAUTHORIZED', async () => {
    const one = good['keyferry-certificates']!
    await check({ ...good, 'keyferry-certificates': Array(4).fill(one).join(',') })
    await refuses({ 'keyferry-certificates': Array(5).fill(one).join(',') })
  })

  it('[relay-3] signed by another key than that of its certificate it is ERR_UNAUTHORIZED', async () => {
    const stranger = await makeEd25519('stranger')
    await expectCode(
      check(await signCall(call, { ...alice, key: stranger }, NOW)),
      'ERR_UNAUTHORIZED',
    )
    const bob = await makeIdentity(tenant.clients, 'client', 'bob')
    await expectCode(check(await signCall(call, bob, NOW)), 'ERR_UNAUTHORIZED')
  })

  it('[relay-3] with a signature that is none it is ERR_UNAUTHORIZED', async () => {
    const { signature } = good
    for (const other of [
      signature!.replace('keyferry=', 'other='),
      signature!.replace('keyferry=', 'different'),
      signature!.replace('keyferry=:', 'keyferry='),
      'keyferry=::',
      'keyferry=:AAAA:',
      `keyferry=:${'A'.repeat(86)}==:`,
      'keyferry="x"',
    ]) {
      await refuses({ signature: other })
    }
  })
})

it('carries one certificate, also when another one takes its place meanwhile', async () => {
  const other = await makeIdentity(tenant.clients, 'client', 'ben')
  const signer = { ...alice }
  // Whatever comes next runs after the first wait.
  queueMicrotask(() => (signer.certificates = other.certificates))
  const read = readCall(call, header(await signCall(call, signer, NOW)))
  expect(read.keyid).toEqual(sha256(read.certificates[0]!))
})
