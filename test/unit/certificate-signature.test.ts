import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Bytes, concat, fromHex, utf8 } from '../../shared/bytes.ts'
import {
  type CertificateAlgorithm,
  readCertificateSignature,
  readKeyKind,
  rememberSignatures,
  verifyCertificateSignature,
} from '../../shared/certificate-signature.ts'
import { der, derBits, derInteger, derSequence } from '../../shared/der.ts'
import { errorCode } from '../lib/odd-certificates.ts'
import { useWebCryptoAlone } from '../lib/web-crypto.ts'

const data = utf8('to be signed')
const spkiOf = (key: KeyObject): Bytes =>
  new Uint8Array(key.export({ format: 'der', type: 'spki' }) as Buffer)

function signer(kind: 'rsa' | 'P-256' | 'P-384', bits = 2048) {
  const { publicKey, privateKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: bits })
      : generateKeyPairSync('ec', { namedCurve: kind })
  const sign = (hash: string): Bytes =>
    new Uint8Array(createSign(hash).update(data).sign(privateKey))
  return { spki: spkiOf(publicKey), sign }
}

const rsa = signer('rsa')
const p256 = signer('P-256')
const p384 = signer('P-384')
const RSA_ID = fromHex('06092a864886f70d0101010500')
const numbers = (modulus: Bytes, exponent: Bytes): Bytes =>
  derSequence(derSequence(RSA_ID), derBits(derSequence(modulus, exponent)))
const modulus = (octets: number, first = 0xc1, last = 1): Bytes =>
  derInteger(new Uint8Array(octets).fill(first, 0, 1).fill(last, octets - 1))
const E65537 = derInteger(65_537)

describe('signatures of CAs', () => {
  it.each([
    ['RS256', rsa, 'sha256'],
    ['RS384', rsa, 'sha384'],
    ['RS512', rsa, 'sha512'],
    ['ES256', p256, 'sha256'],
    ['ES384', p256, 'sha384'],
    ['ES256', p384, 'sha256'],
    ['ES384', p384, 'sha384'],
  ] as const)('%s verifies, and nothing else does', async (alg, { spki, sign }, hash) => {
    const signature = sign(hash)
    const check = (
      changed: Partial<{ alg: CertificateAlgorithm; signature: Bytes; data: Bytes }>,
    ) =>
      verifyCertificateSignature(
        spki,
        { alg: changed.alg ?? alg, signature: changed.signature ?? signature },
        changed.data ?? data,
      )
    expect(await check({})).toBe(true)
    expect(await check({ data: utf8('another') })).toBe(false)
    const last = signature.length - 1
    expect(await check({ signature: signature.with(last, signature[last]! ^ 1) })).toBe(false)
    expect(await check({ signature: signature.subarray(0, last) })).toBe(false)
    expect(await check({ signature: concat(signature, fromHex('00')) })).toBe(false)
    expect(await check({ signature: new Uint8Array() })).toBe(false)
    for (const other of ['Ed25519', 'ES256', 'ES384', 'RS256', 'RS384', 'RS512'] as const) {
      if (other !== alg) expect(await check({ alg: other })).toBe(false)
    }
  })

  it('[path-9] an ECDSA signature of zeros, or of a number beyond the order, whatever the platform says', async () => {
    vi.spyOn(useWebCryptoAlone(), 'verify').mockResolvedValue(true)
    onTestFinished(() => void vi.restoreAllMocks())
    const good = { alg: 'ES256', signature: p256.sign('sha256') } as const
    expect(await verifyCertificateSignature(p256.spki, good, utf8('other'))).toBe(true)
    for (const [{ spki }, octets] of [
      [p256, 32],
      [p384, 48],
    ] as const) {
      const one = derInteger(1)
      const large = derInteger(new Uint8Array(octets).fill(0xff))
      for (const [r, s] of [
        [derInteger(0), one],
        [one, derInteger(0)],
        [large, one],
        [one, large],
      ]) {
        const signature = derSequence(r!, s!)
        expect(await verifyCertificateSignature(spki, { alg: 'ES256', signature }, data)).toBe(
          false,
        )
      }
    }
  })

  it('a key with an octet more or less, or with another beginning, is of no kind', async () => {
    for (const { spki } of [
      p256,
      p384,
      { spki: spkiOf(generateKeyPairSync('ed25519').publicKey) },
    ]) {
      expect(['ES256', 'ES384', 'Ed25519']).toContain(await readKeyKind(spki))
      for (const bad of [concat(spki, fromHex('00')), spki.subarray(0, -1), spki.with(9, 0x2b)])
        expect(await errorCode(() => readKeyKind(bad))).toMatch(/^ERR_(MALFORMED|CERT_PROFILE)$/)
    }
  })

  it('[path-9] a point that is not on the curve', async () => {
    for (const { spki } of [p256, p384]) {
      const off = spki.with(spki.length - 1, spki.at(-1)! ^ 1)
      const signature = p256.sign('sha256')
      expect(
        await errorCode(() => verifyCertificateSignature(off, { alg: 'ES256', signature }, data)),
      ).toBe('ERR_WEAK_KEY')
    }
  })
})

describe('keys of certificates [path-1]', () => {
  it('tells their kind', async () => {
    expect(await Promise.all([rsa, p256, p384].map(({ spki }) => readKeyKind(spki)))).toEqual([
      'RSA',
      'ES256',
      'ES384',
    ])
  })

  it.each([
    ['2047 bits', numbers(modulus(256, 0x41), E65537)],
    ['2040 bits', numbers(modulus(255), E65537)],
    ['2052 bits', numbers(modulus(257, 0x0f), E65537)],
    ['8200 bits', numbers(modulus(1025), E65537)],
    ['an even modulus', numbers(modulus(256, 0xc1, 2), E65537)],
    ['a negative modulus', numbers(der(0x02, new Uint8Array(256).fill(0x81)), E65537)],
    ['an exponent of 1', numbers(modulus(256), derInteger(1))],
    ['an even exponent', numbers(modulus(256), derInteger(65_538))],
    ['an exponent of 33 bits', numbers(modulus(256), derInteger(2 ** 32 + 1))],
    [
      'another algorithm',
      derSequence(derSequence(fromHex('06032b656e')), derBits(new Uint8Array(32))),
    ],
    [
      'a compressed point',
      fromHex(`3039301306072a8648ce3d020106082a8648ce3d030107032200${'02'.padEnd(66, '1')}`),
    ],
  ])('[path-1] refuses %s', async (_, spki) => {
    expect(await errorCode(() => readKeyKind(spki))).toBe('ERR_CERT_PROFILE')
  })

  it('takes RSA from 2048 to 8192 bits', async () => {
    expect(await readKeyKind(numbers(modulus(256), derInteger(3)))).toBe('RSA')
    expect(await readKeyKind(numbers(modulus(1024), E65537))).toBe('RSA')
  })

  it('[path-9] refuses an Ed25519 key of small order', async () => {
    const weak = fromHex(`302a300506032b6570032100${'01'.padEnd(64, '0')}`)
    expect(await errorCode(() => readKeyKind(weak))).toBe('ERR_WEAK_KEY')
  })

  it.each([
    ['SHA-1 with RSA', '300d06092a864886f70d0101050500'],
    ['SHA-1 with ECDSA', '300906072a8648ce3d0401'],
    ['SHA-512 with ECDSA', '300a06082a8648ce3d040304'],
    ['RSA-PSS', '300b06092a864886f70d01010a'],
    ['RSA without its NULL', '300b06092a864886f70d01010b'],
  ])('[path-1] refuses a signature of %s', async (_, identifier) => {
    const signed = { tbs: data, identifier: fromHex(identifier), signature: new Uint8Array(64) }
    expect(await errorCode(() => readCertificateSignature(signed))).toBe('ERR_CERT_PROFILE')
  })
})

describe('a verifier that remembers', () => {
  const good = { alg: 'ES256', signature: p256.sign('sha256') } as const

  it('checks what was good once, and everything else again', async () => {
    const verify = vi.spyOn(useWebCryptoAlone(), 'verify')
    onTestFinished(() => void vi.restoreAllMocks())
    const remember = rememberSignatures()
    const calls = async (work: () => Promise<boolean>): Promise<[boolean, number]> => {
      verify.mockClear()
      return [await work(), verify.mock.calls.length]
    }
    expect(await calls(() => remember(p256.spki, good, data))).toEqual([true, 1])
    expect(await calls(() => remember(p256.spki, good, data))).toEqual([true, 0])
    // Another message, signature, key or algorithm is another question.
    const last = good.signature.length - 1
    const bent = { ...good, signature: good.signature.with(last, good.signature[last]! ^ 1) }
    const other = signer('P-256')
    expect(await calls(() => remember(p256.spki, good, utf8('another')))).toEqual([false, 1])
    expect((await calls(() => remember(p256.spki, bent, data)))[0]).toBe(false)
    expect(await calls(() => remember(other.spki, good, data))).toEqual([false, 1])
    expect((await calls(() => remember(p256.spki, { ...good, alg: 'ES384' }, data)))[0]).toBe(false)
    // What was not good is not remembered as anything.
    expect(await calls(() => remember(p256.spki, good, utf8('another')))).toEqual([false, 1])
    const large = new Uint8Array(5_000)
    expect(await calls(() => remember(p256.spki, good, large))).toEqual([false, 1])
    expect(await calls(() => remember(p256.spki, good, large.with(4_999, 1)))).toEqual([false, 1])
  })

  it('asks again where the rules are others: a key that was long enough for one list is not for a path', async () => {
    const remember = rememberSignatures()
    const weak = signer('rsa', 1_024)
    const signed = { alg: 'RS256', signature: weak.sign('sha256') } as const
    expect(await remember(weak.spki, signed, data, 1_024)).toBe(true)
    expect(await errorCode(() => remember(weak.spki, signed, data))).toBe('ERR_CERT_PROFILE')
  })

  it('reads the same bytes once, with each parser, and what it refuses every time', () => {
    const { read } = rememberSignatures()
    const parse = vi.fn((bytes: Bytes) => {
      if (bytes.length === 0) throw new Error('nothing to read')
      return { bytes: bytes.slice() }
    })
    const first = read!(parse)(data)
    expect(read!(parse)(data.slice())).toBe(first)
    expect(first.bytes).toEqual(data)
    expect(read!(parse)(data.with(0, 0))).not.toBe(first)
    expect(parse).toHaveBeenCalledTimes(2)
    const other = read!((bytes: Bytes) => ({ bytes }))(data)
    expect(other).not.toBe(first)
    for (let i = 0; i < 2; i++) expect(() => read!(parse)(new Uint8Array())).toThrow('nothing')
    expect(parse).toHaveBeenCalledTimes(4)
    // Of another verifier nothing is known here.
    expect(rememberSignatures().read!(parse)(data)).not.toBe(first)
  })

  it('remembers all that is short, and of lists that are long the last ones', () => {
    const { read } = rememberSignatures()
    const parse = vi.fn((bytes: Bytes) => ({ bytes }))
    const short = Array.from({ length: 64 }, (_, i) => new Uint8Array(2_000).fill(i))
    for (let i = 0; i < 3; i++) for (const one of short) read!(parse)(one)
    expect(parse).toHaveBeenCalledTimes(64)
    const long = Array.from({ length: 4 }, (_, i) => new Uint8Array(900_000).fill(i))
    const [first, , third] = long.map((one) => read!(parse)(one))
    // The one that a head names, again and again between others.
    for (const one of short) {
      expect(read!(parse)(long[2]!)).toBe(third)
      read!(parse)(one)
    }
    expect(read!(parse)(long[0]!)).not.toBe(first)
  })

  it('forgets when it has remembered as many as it may', async () => {
    const remember = rememberSignatures(2)
    const verify = vi.spyOn(useWebCryptoAlone(), 'verify')
    onTestFinished(() => void vi.restoreAllMocks())
    const three = Array.from({ length: 3 }, () => ({ ...good, signature: p256.sign('sha256') }))
    for (const one of three) expect(await remember(p256.spki, one, data)).toBe(true)
    expect(verify).toHaveBeenCalledTimes(3)
    expect(await remember(p256.spki, three[2]!, data)).toBe(true)
    expect(verify).toHaveBeenCalledTimes(3)
    expect(await remember(p256.spki, three[0]!, data)).toBe(true)
    expect(verify).toHaveBeenCalledTimes(4)
  })
})
