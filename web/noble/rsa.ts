/** Verification of RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2): public numbers only, so nothing here has to take the same time always. */
import { concat, equal, fromHex, type Bytes } from '../../shared/bytes.ts'
import { hashOf } from './hashes.ts'

/** DigestInfo up to the digest (§9.2, note 1). */
const PREFIXES: Record<string, Bytes> = {
  'SHA-256': fromHex('3031300d060960864801650304020105000420'),
  'SHA-384': fromHex('3041300d060960864801650304020205000430'),
  'SHA-512': fromHex('3051300d060960864801650304020305000440'),
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let out = 1n
  for (let [square, rest] = [base, exponent]; rest > 0n; rest >>= 1n) {
    if (rest & 1n) out = (out * square) % modulus
    square = (square * square) % modulus
  }
  return out
}

function toBytes(value: bigint, length: number): Bytes {
  const digits = value.toString(16).padStart(2 * length, '0')
  return fromHex(digits)
}

/** True for a signature over `data` by the key. */
export function verifyRsa(
  { modulus, exponent }: { modulus: bigint; exponent: bigint },
  hash: string,
  signature: Bytes,
  data: Bytes,
): boolean {
  const length = Math.ceil(modulus.toString(16).length / 2)
  const value = signature.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  if (signature.length !== length || value >= modulus) return false
  const info = concat(PREFIXES[hash]!, hashOf(hash)(data))
  const padding = new Uint8Array(length - info.length - 3).fill(0xff)
  const expected = concat(Uint8Array.of(0, 1), padding, Uint8Array.of(0), info)
  return equal(toBytes(power(value, exponent, modulus), length), expected)
}
