/** What the vectors need in every engine: cases, keys of bytes, and X-Wing with or without ML-KEM of the platform. */
import { expect, test } from 'vitest'
import { concat, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { type RecipientKey } from '../../shared/hpke.ts'
import { type Suite } from '../../shared/trust.ts'
import { nobleMlKem } from '../../shared/ml-kem-noble.ts'
import { webMlKem, type MlKem } from '../../shared/ml-kem.ts'
import { subtle } from '../../shared/platform.ts'

/** One vector of docs/vectors. */
export interface Case<I, O = unknown> {
  comment: string
  input: I
  expect: string
  output?: O
}

/** Runs each case as a test: it must come out as expected, and with the output that is given. */
export function runCases<I, O>(
  name: string,
  cases: unknown,
  run: (input: I, output: O | undefined) => unknown,
): void {
  const list = cases as Case<I, O>[]
  for (const [i, { comment, input, expect: expected, output }] of list.entries()) {
    test(`${name} ${i + 1}, ${comment}: ${expected}`, async () => {
      let result: unknown
      let outcome = 'ok'
      try {
        result = await run(input, output)
      } catch (error) {
        if (!isKeyferryError(error)) throw error
        outcome = error.code
      }
      expect(outcome).toBe(expected)
      if (output !== undefined) expect(result).toEqual(output)
    })
  }
}

/** Bytes become hexadecimal. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}

/** A recipient as vectors write it. */
export interface RecipientJson {
  suite: Suite
  publicKey: string
  privateKey: string
}

function importX25519(secret: Bytes): Promise<CryptoKey> {
  const pkcs8 = concat(fromHex('302e020100300506032b656e04220420'), secret)
  return subtle().importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits'])
}

/** PKCS#8 of a P-256 key (RFC 5915). */
const P256_PKCS8 = fromHex(
  '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420',
)

function importP256(secret: Bytes, point: Bytes): Promise<CryptoKey> {
  const pkcs8 = concat(P256_PKCS8, secret, fromHex('a144034200'), point)
  const algorithm = { name: 'ECDH', namedCurve: 'P-256' }
  return subtle().importKey('pkcs8', pkcs8, algorithm, false, ['deriveBits'])
}

/** The key pair with every ML-KEM there is here: the platform's, if it has one, and noble's. */
export async function importRecipient({
  suite,
  publicKey,
  privateKey,
}: RecipientJson): Promise<{ key: RecipientKey; mlKem?: MlKem }[]> {
  const [point, secret] = [fromHex(publicKey), fromHex(privateKey)]
  const key = { suite, publicKey: point }
  if (suite === 'X25519') return [{ key: { ...key, privateKeys: [await importX25519(secret)] } }]
  if (suite === 'P-256')
    return [{ key: { ...key, privateKeys: [await importP256(secret, point)] } }]
  const [seed, x25519] = [secret.slice(0, 64), await importX25519(secret.slice(64))]
  const noble = { ...key, privateKeys: [{ seed, wrapping: null }, x25519] }
  const ways: { key: RecipientKey; mlKem: MlKem }[] = [{ key: noble, mlKem: nobleMlKem }]
  try {
    const own = await subtle().importKey('raw-seed' as 'raw', seed, 'ML-KEM-768', false, [
      'decapsulateBits' as 'deriveBits',
    ])
    ways.push({ key: { ...key, privateKeys: [own, x25519] }, mlKem: webMlKem })
  } catch {
    // This platform has no ML-KEM.
  }
  return ways
}
