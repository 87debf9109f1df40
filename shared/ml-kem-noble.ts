/**
 * ML-KEM-768 of @noble/post-quantum for platforms whose WebCrypto lacks it, in a chunk of its own. What is kept is the seed (FIPS 203 §7.1: 64 bytes `d || z`),
 * under an AES key that cannot be read; as bytes it exists while a key is made or a ciphertext opened.
 */
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { type Bytes } from './bytes.ts'
import type { MlKem } from './ml-kem.ts'
import { subtle } from './platform.ts'

const SEED_LENGTH = 64
/** A wrapping key encrypts one seed and nothing else. */
const AES_GCM = { name: 'AES-GCM', iv: new Uint8Array(12) }

/** A private key. Without a wrapping key, for stores that keep keys as text anyway, the seed is in clear. */
interface SeedKey {
  /** 64 bytes, or 80 under the wrapping key. */
  seed: Bytes
  wrapping: CryptoKey | null
}

async function wrapSeed(seed: Bytes): Promise<SeedKey> {
  const usages: KeyUsage[] = ['encrypt', 'decrypt']
  const wrapping = await subtle().generateKey({ name: 'AES-GCM', length: 256 }, false, usages)
  return { seed: new Uint8Array(await subtle().encrypt(AES_GCM, wrapping, seed)), wrapping }
}

async function unwrapSeed({ seed, wrapping }: SeedKey): Promise<Bytes> {
  if (wrapping === null) return seed.slice()
  return new Uint8Array(await subtle().decrypt(AES_GCM, wrapping, seed))
}

/** Bytes that JavaScript types know to be in no shared memory. */
const own = (bytes: Uint8Array): Bytes => bytes as Bytes

/** ML-KEM-768; its private keys are seeds, wrapped unless `extractable`. */
export const nobleMlKem: MlKem = {
  async generate(extractable) {
    const seed = crypto.getRandomValues(new Uint8Array(SEED_LENGTH))
    try {
      const { publicKey, secretKey } = ml_kem768.keygen(seed)
      secretKey.fill(0)
      const privateKey = extractable ? { seed: seed.slice(), wrapping: null } : await wrapSeed(seed)
      return { publicKey: own(publicKey), privateKey }
    } finally {
      seed.fill(0)
    }
  },
  async encapsulate(publicKey) {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey)
    return { ciphertext: own(cipherText), sharedSecret: own(sharedSecret) }
  },
  async decapsulate(privateKey, ciphertext) {
    const seed = await unwrapSeed(privateKey as SeedKey)
    try {
      const { secretKey } = ml_kem768.keygen(seed)
      try {
        return own(ml_kem768.decapsulate(ciphertext, secretKey))
      } finally {
        secretKey.fill(0)
      }
    } finally {
      seed.fill(0)
    }
  },
}
