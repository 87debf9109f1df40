/** Keys and random bytes from fixed seeds: the same on every run and every machine. */
import { createPrivateKey, createPublicKey, sign as signWith } from 'node:crypto'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { p256, p384 } from '@noble/curves/nist.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { concat, fromHex, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { type RecipientKey } from '../../shared/hpke.ts'
import { subtle } from '../../shared/platform.ts'
import { type SigningKey } from '../../shared/signature.ts'
import { type Suite } from '../../shared/trust.ts'
import { RSA_2048 } from './fixtures-rsa.ts'
import { type CaKey } from './odd-certificates.ts'

/** `length` bytes that only the seed decides. */
export function seeded(seed: string, length = 32): Bytes {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    sha256(concat(utf8(`keyferry test ${seed}`), u32(i))),
  )
  return concat(...blocks).slice(0, length)
}

/** A random source: another value on each call, the same sequence on each run. */
export function seededRandom(seed: string): (length: number) => Bytes {
  let count = 0
  return (length) => seeded(`${seed} ${count++}`, length)
}

/** An Ed25519 key; its signatures are deterministic. */
export async function makeEd25519(seed: string): Promise<SigningKey> {
  const secret = seeded(`ed25519 ${seed}`)
  const pkcs8 = concat(fromHex('302e020100300506032b657004220420'), secret)
  const key = await subtle().importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign'])
  const point = Uint8Array.from(ed25519.getPublicKey(secret))
  return { alg: 'Ed25519', key, spki: concat(fromHex('302a300506032b6570032100'), point) }
}

/** A P-256 scalar and its uncompressed point. */
function p256Pair(seed: string): { secret: Bytes; point: Bytes } {
  const secret = seeded(`p256 ${seed}`).with(0, 0x5a)
  return { secret, point: Uint8Array.from(p256.getPublicKey(secret, false)) }
}

/** PKCS#8 of a P-256 key (RFC 5915). */
const P256_PKCS8 = fromHex(
  '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420',
)

function importP256(
  { secret, point }: { secret: Bytes; point: Bytes },
  name: 'ECDH' | 'ECDSA',
  usage: 'deriveBits' | 'sign',
): Promise<CryptoKey> {
  const pkcs8 = concat(P256_PKCS8, secret, fromHex('a144034200'), point)
  return subtle().importKey('pkcs8', pkcs8, { name, namedCurve: 'P-256' }, false, [usage])
}

const P256_SPKI = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')

/** A P-256 signing key; WebCrypto's signatures with it differ each time. */
export async function makeP256(seed: string): Promise<SigningKey> {
  const pair = p256Pair(seed)
  const key = await importP256(pair, 'ECDSA', 'sign')
  return { alg: 'ES256', key, spki: concat(P256_SPKI, pair.point) }
}

/** A P-256 signature as `r || s` after RFC 6979: deterministic. */
export function signP256(seed: string, data: Bytes): Bytes {
  return Uint8Array.from(p256.sign(data, p256Pair(seed).secret, { lowS: false }))
}

/** The private key of a key package as bytes: X25519 and P-256 32 bytes; X-Wing 64 of ML-KEM-768 and 32 of X25519. */
export function recipientSecret(suite: Suite, seed: string): Bytes {
  if (suite === 'P-256') return p256Pair(`recipient ${seed}`).secret
  return seeded(`recipient ${suite} ${seed}`, suite === 'X25519' ? 32 : 96)
}

function importX25519(secret: Bytes): Promise<CryptoKey> {
  const pkcs8 = concat(fromHex('302e020100300506032b656e04220420'), secret)
  return subtle().importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits'])
}

/** The key pair of a key package from a seed. No part of the private key can be read again. */
export async function makeRecipient(suite: Suite, seed: string): Promise<RecipientKey> {
  const secret = recipientSecret(suite, seed)
  if (suite === 'X25519') {
    const publicKey = Uint8Array.from(x25519.getPublicKey(secret))
    return { suite, publicKey, privateKeys: [await importX25519(secret)] }
  }
  if (suite === 'P-256') {
    const pair = p256Pair(`recipient ${seed}`)
    const key = await importP256(pair, 'ECDH', 'deriveBits')
    return { suite, publicKey: pair.point, privateKeys: [key] }
  }
  const [mlKemSeed, x25519Secret] = [secret.slice(0, 64), secret.slice(64)]
  const publicKey = concat(ml_kem768.keygen(mlKemSeed).publicKey, x25519.getPublicKey(x25519Secret))
  return {
    suite,
    publicKey,
    privateKeys: [await importMlKem(mlKemSeed), await importX25519(x25519Secret)],
  }
}

/** As the platform keeps it, or as its stand-in does. */
async function importMlKem(seed: Bytes): Promise<unknown> {
  try {
    const usages = ['decapsulateBits' as 'deriveBits']
    return await subtle().importKey('raw-seed' as 'raw', seed, 'ML-KEM-768', false, usages)
  } catch {
    return { seed, wrapping: null }
  }
}

/** A CA's P-384 key; its signatures, after RFC 6979 with SHA-384, are deterministic. */
export function makeP384(seed: string): CaKey {
  const secret = seeded(`p384 ${seed}`, 48).with(0, 0x5a)
  const spki = concat(
    fromHex('3076301006072a8648ce3d020106052b81040022036200'),
    p384.getPublicKey(secret, false),
  )
  const sign = (tbs: Bytes): Bytes =>
    Uint8Array.from(p384.sign(tbs, secret, { lowS: false, format: 'der' }))
  return { spki, identifier: fromHex('300a06082a8648ce3d040303'), sign }
}

/** A CA's RSA key of 2048 bits, always the same one; its signatures (PKCS #1 v1.5 with SHA-256) are deterministic. */
export function makeRsa(): CaKey {
  const key = createPrivateKey({
    key: Buffer.from(RSA_2048, 'base64'),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }))
  const sign = (tbs: Bytes): Bytes => new Uint8Array(signWith('sha256', tbs, key))
  return { spki, identifier: fromHex('300d06092a864886f70d01010b0500'), sign }
}
