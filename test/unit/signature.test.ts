import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Bytes, concat, fromHex, hex, utf8 } from '../../shared/bytes.ts'
import { derInteger, derSequence } from '../../shared/der.ts'
import { subtle } from '../../shared/platform.ts'
import {
  ecdsaFromDer,
  ecdsaToDer,
  generateSigningKey,
  importVerifyKey,
  keyId,
  readSignature,
  readSigned,
  signBytes,
  signDer,
  type VerifyKey,
  verifySignature,
} from '../../shared/signature.ts'
import { errorCode } from '../lib/odd-certificates.ts'
import { hasWebCrypto } from '../lib/platform.ts'
import { useWebCryptoAlone } from '../lib/web-crypto.ts'

const ED_PREFIX = fromHex('302a300506032b6570032100')
const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')
const P = 2n ** 255n - 19n
const L = 2n ** 252n + 27742317777372353535851937790883648493n
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const data = utf8('to be signed')

function big(value: bigint): Bytes {
  return fromHex(value.toString(16).padStart(64, '0'))
}

function little(value: bigint): Bytes {
  return big(value).toReversed()
}

/** The eight points of small order, computed: multiples of a point of order 8. */
function smallOrderPoints(): Bytes[] {
  const { Point } = ed25519
  const order8 = Array.from({ length: 256 }, (_, y) => {
    try {
      const point = Point.fromBytes(little(BigInt(y) + 2n))
      return point.multiplyUnsafe(L - 1n).add(point)
    } catch {
      return Point.ZERO
    }
  }).find((point) => !point.multiplyUnsafe(4n).equals(Point.ZERO))!
  return Array.from({ length: 8 }, (_, i) =>
    Uint8Array.from(order8.multiplyUnsafe(BigInt(i)).toBytes()),
  )
}

/** Small-order points, both signs of x, and every encoding with y >= p. */
function badPoints(): Bytes[] {
  const other = Array.from({ length: 19 }, (_, i) => little(P + BigInt(i)))
  const points = [...smallOrderPoints(), ...other]
  return points.flatMap((point) => [point, point.with(31, point[31]! ^ 0x80)])
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(['Ed25519', 'ES256'] as const)('%s', (alg) => {
  it('verifies what was signed and nothing else', async () => {
    const signing = await generateSigningKey(alg, false)
    expect(signing.key.extractable).toBe(false)
    expect((await generateSigningKey(alg, true)).key.extractable).toBe(true)
    const key = await importVerifyKey(signing.spki)
    expect(key.alg).toBe(alg)
    expect(key.spki).toEqual(signing.spki)
    const signature = await signBytes(signing, data)
    expect(signature).toHaveLength(64)
    expect(await verifySignature(key, signature, data)).toBe(true)
    expect(await verifySignature(key, signature, utf8('other'))).toBe(false)
    const other = await importVerifyKey((await generateSigningKey(alg, false)).spki)
    expect(await verifySignature(other, signature, data)).toBe(false)
    for (const at of [0, 20, 40, 63]) {
      const flipped = signature.with(at, signature[at]! ^ 1)
      expect(await verifySignature(key, flipped, data)).toBe(false)
    }
  })

  it('refuses signatures of another length without asking the platform', async () => {
    const signing = await generateSigningKey(alg, false)
    const key = await importVerifyKey(signing.spki)
    const signature = await signBytes(signing, data)
    vi.spyOn(useWebCryptoAlone(), 'verify').mockResolvedValue(true)
    expect(await verifySignature(key, signature, data)).toBe(true)
    for (const bad of [signature.slice(0, 63), concat(signature, new Uint8Array(1)), fromHex('')]) {
      expect(await verifySignature(key, bad, data)).toBe(false)
    }
  })

  it('signs X.509 structures', async () => {
    const signing = await generateSigningKey(alg, false)
    const parts = readSigned(await signDer(signing, derSequence()))
    const { signature, ...read } = readSignature(parts)
    expect(read.alg).toBe(alg)
    const key = await importVerifyKey(signing.spki)
    expect(await verifySignature(key, signature, derSequence())).toBe(true)
  })
})

describe('public keys', () => {
  it('of small order or in another encoding are weak [path-9]', async () => {
    const points = badPoints()
    expect(new Set(points.map(hex)).size).toBeGreaterThan(40)
    for (const point of points) {
      expect(await errorCode(() => importVerifyKey(concat(ED_PREFIX, point)))).toBe('ERR_WEAK_KEY')
    }
    // p − 2 is the highest y that is left.
    const highest = concat(ED_PREFIX, little(P - 2n))
    expect(await errorCode(() => importVerifyKey(highest))).toBe('ok')
  })

  it('that are not on P-256 are weak', async () => {
    const spki = concat(P256_PREFIX, fromHex('04'), new Uint8Array(64).fill(1))
    expect(await errorCode(() => importVerifyKey(spki))).toBe('ERR_WEAK_KEY')
  })

  it('of other algorithms and encodings do not fit the profile', async () => {
    const { spki } = await generateSigningKey('ES256', false)
    const ed = (await generateSigningKey('Ed25519', false)).spki
    const compressed = fromHex('3039301306072a8648ce3d020106082a8648ce3d030107032200')
    const p384 = await subtle().generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, ['sign'])
    const x25519 = concat(fromHex('302a300506032b656e032100'), new Uint8Array(32).fill(9))
    for (const bad of [
      fromHex(''),
      concat(compressed, fromHex('02'), spki.slice(27, 59)),
      spki.with(26, 0x06),
      spki.slice(0, -1),
      concat(spki, fromHex('00')),
      ed.slice(0, -1),
      concat(ed, fromHex('00')),
      x25519,
      new Uint8Array(await subtle().exportKey('spki', p384.publicKey)),
    ]) {
      expect(await errorCode(() => importVerifyKey(bad))).toBe('ERR_CERT_PROFILE')
    }
  })

  it('are named by their SHA-256', async () => {
    expect(hex(await keyId(fromHex('')))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
  })

  it('do not change with the bytes they came from', async () => {
    const spki = (await generateSigningKey('Ed25519', false)).spki.slice()
    const key = await importVerifyKey(spki)
    spki.fill(0)
    expect(key.spki[0]).toBe(0x30)
  })
})

describe('signatures that platforms disagree about [path-9]', () => {
  /** Says yes to everything, as a careless platform would. */
  async function lenientKey(alg: 'Ed25519' | 'ES256'): Promise<VerifyKey> {
    const key = await importVerifyKey((await generateSigningKey(alg, false)).spki)
    vi.spyOn(useWebCryptoAlone(), 'verify').mockResolvedValue(true)
    return key
  }

  it('Ed25519: R of small order or in another encoding', async () => {
    const key = await lenientKey('Ed25519')
    const strong = Uint8Array.from(ed25519.Point.BASE.toBytes())
    expect(await verifySignature(key, concat(strong, little(1n)), data)).toBe(true)
    for (const point of badPoints()) {
      expect(await verifySignature(key, concat(point, little(1n)), data)).toBe(false)
    }
  })

  it('Ed25519: S from the group order on', async () => {
    const key = await lenientKey('Ed25519')
    const strong = Uint8Array.from(ed25519.Point.BASE.toBytes())
    expect(await verifySignature(key, concat(strong, little(L - 1n)), data)).toBe(true)
    for (const s of [L, L + 1n, 2n ** 255n, 2n ** 256n - 1n]) {
      expect(await verifySignature(key, concat(strong, little(s)), data)).toBe(false)
    }
  })

  it('Ed25519: what holds only when multiplied by the cofactor', async () => {
    const { Point } = ed25519
    const torsion = Point.fromHex(
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    )
    const [a, r] = [7n, 11n]
    // A key with a part of order 8, over which S B - k A is R only but for that part.
    const point = Uint8Array.from(Point.BASE.multiply(a).add(torsion).toBytes())
    const nonce = Uint8Array.from(Point.BASE.multiply(r).toBytes())
    const key = await importVerifyKey(concat(ED_PREFIX, point))
    const verdicts: boolean[] = []
    for (let i = 0; i < 16; i++) {
      const message = utf8(`message ${i}`)
      const hash = sha512(concat(nonce, point, message)).toReversed()
      const k = BigInt(`0x${hex(Uint8Array.from(hash))}`) % L
      const signature = concat(nonce, little((r + k * a) % L))
      const isWhole = k % 8n === 0n
      verdicts.push((await verifySignature(key, signature, message)) === isWhole)
      // With the cofactor, every one of them would be good.
      expect(ed25519.verify(signature, message, point, { zip215: false })).toBe(true)
    }
    expect(verdicts).not.toContain(false)
  })

  it('Ed25519: a malleated S does not verify', async () => {
    const signing = await generateSigningKey('Ed25519', false)
    const signature = await signBytes(signing, data)
    const s = BigInt(`0x${hex(signature.slice(32).toReversed())}`)
    const key = await importVerifyKey(signing.spki)
    const malleated = concat(signature.slice(0, 32), little(s + L))
    expect(await verifySignature(key, malleated, data)).toBe(false)
  })

  it('ES256: r and s outside 1 to n - 1', async () => {
    const key = await lenientKey('ES256')
    expect(await verifySignature(key, concat(big(1n), big(N - 1n)), data)).toBe(true)
    for (const bad of [0n, N, N + 1n, 2n ** 256n - 1n]) {
      expect(await verifySignature(key, concat(big(bad), big(1n)), data)).toBe(false)
      expect(await verifySignature(key, concat(big(1n), big(bad)), data)).toBe(false)
    }
  })
})

it.skipIf(!hasWebCrypto)('on Node no signature is sent to another thread', async () => {
  const verify = vi.spyOn(subtle(), 'verify')
  for (const alg of ['Ed25519', 'ES256'] as const) {
    const signing = await generateSigningKey(alg, false)
    const key = await importVerifyKey(signing.spki)
    expect(await verifySignature(key, await signBytes(signing, data), data)).toBe(true)
  }
  expect(verify).not.toHaveBeenCalled()
})

it.skipIf(!hasWebCrypto)('Node is told of hashes by the names that it gives them', async () => {
  const node = process.getBuiltinModule('node:crypto')
  const verify = vi.spyOn(node, 'verify')
  const signing = await generateSigningKey('ES256', false)
  const signature = await signBytes(signing, data)
  expect(await verifySignature(await importVerifyKey(signing.spki), signature, data)).toBe(true)
  expect(node.getHashes()).toContain(verify.mock.calls[0]?.[0])
})

describe('ECDSA in DER', () => {
  it('converts both ways', () => {
    for (const [r, s] of [
      [1n, N - 1n],
      [255n, 128n],
      [N - 1n, 127n],
    ] as const) {
      const raw = concat(big(r), big(s))
      expect(ecdsaFromDer(ecdsaToDer(raw))).toEqual(raw)
    }
  })

  it.each([
    ['nothing', ''],
    ['one number', '3003020101'],
    ['three numbers', '3009020101020101020101'],
    ['a negative number', '30060201ff020101'],
    ['the most negative octet', '3006020180020101'],
    ['a padded number', '300702020001020101'],
    ['bytes after it', '300602010102010100'],
  ])('refuses %s', async (_, text) => {
    expect(await errorCode(() => ecdsaFromDer(fromHex(text)))).toBe('ERR_MALFORMED')
  })

  it('refuses numbers of more than 32 bytes', async () => {
    const long = derInteger(new Uint8Array(33).fill(1))
    const signature = derSequence(long, derInteger(1))
    expect(await errorCode(() => ecdsaFromDer(signature))).toBe('ERR_MALFORMED')
  })

  it('refuses unknown algorithms and Ed25519 signatures of another length', async () => {
    const parts = { tbs: derSequence(), signature: new Uint8Array(63) }
    const ed = { ...parts, identifier: fromHex('300506032b6570') }
    expect(await errorCode(() => readSignature(ed))).toBe('ERR_MALFORMED')
    for (const identifier of [
      '300706032b65700500', // Ed25519 with NULL parameters
      '300c06082a8648ce3d0403020500', // ECDSA with SHA-256 and NULL parameters
      '300906072a8648ce3d0401', // ECDSA with SHA-1
      '300a06082a8648ce3d040303', // ECDSA with SHA-384
      '300d06092a864886f70d01010b0500', // RSA with SHA-256
      '300d06092a864886f70d0101050500', // RSA with SHA-1
    ]) {
      const other = { ...parts, identifier: fromHex(identifier) }
      expect(await errorCode(() => readSignature(other))).toBe('ERR_CERT_PROFILE')
    }
  })
})
