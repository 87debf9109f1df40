/**
 * ML-KEM-768 (FIPS 203): the platform's, or where WebCrypto lacks it @noble/post-quantum's, which is loaded only then. Which of them made a
 * private key shows in the key, so that one made before an update of the browser still opens after it.
 */
import { type Bytes } from './bytes.ts'
import { lazily } from './lazy.ts'
import { subtle } from './platform.ts'

/** ML-KEM-768. A private key is whatever the implementation makes, and structured clone keeps it. */
export interface MlKem {
  generate(extractable: boolean): Promise<{ publicKey: Bytes; privateKey: unknown }>
  encapsulate(publicKey: Bytes): Promise<{ ciphertext: Bytes; sharedSecret: Bytes }>
  decapsulate(privateKey: unknown, ciphertext: Bytes): Promise<Bytes>
}

/** The part of WebCrypto's "modern algorithms" used here, which no type library has yet. */
interface KemSubtle {
  generateKey(algorithm: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>
  exportKey(format: 'raw-public', key: CryptoKey): Promise<ArrayBuffer>
  importKey(
    format: 'raw-public',
    key: Bytes,
    algorithm: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>
  encapsulateBits(
    algorithm: string,
    key: CryptoKey,
  ): Promise<{ sharedKey: ArrayBuffer; ciphertext: ArrayBuffer }>
  decapsulateBits(algorithm: string, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>
}

const ALGORITHM = 'ML-KEM-768'
const kemSubtle = (): KemSubtle => subtle() as unknown as KemSubtle

/** ML-KEM-768 of the platform; its private keys are `CryptoKey`s. */
export const webMlKem: MlKem = {
  async generate(extractable) {
    const usages = ['encapsulateBits', 'decapsulateBits']
    const pair = await kemSubtle().generateKey(ALGORITHM, extractable, usages)
    return {
      publicKey: new Uint8Array(await kemSubtle().exportKey('raw-public', pair.publicKey)),
      privateKey: pair.privateKey,
    }
  },
  async encapsulate(publicKey) {
    const usages = ['encapsulateBits']
    const key = await kemSubtle().importKey('raw-public', publicKey, ALGORITHM, false, usages)
    const { ciphertext, sharedKey } = await kemSubtle().encapsulateBits(ALGORITHM, key)
    return { ciphertext: new Uint8Array(ciphertext), sharedSecret: new Uint8Array(sharedKey) }
  },
  async decapsulate(privateKey, ciphertext) {
    return new Uint8Array(
      await kemSubtle().decapsulateBits(ALGORITHM, privateKey as CryptoKey, ciphertext),
    )
  },
}

const hasKem = (): boolean => 'encapsulateBits' in subtle()

async function loadNoble(): Promise<MlKem> {
  return (await lazily(() => import('./ml-kem-noble.ts'))).nobleMlKem
}

/** Loads what stands in for the platform's, where it is known to be needed. Throws `ERR_IO`. */
export async function prepareMlKem(): Promise<void> {
  if (!hasKem()) await loadNoble()
}

/** ML-KEM-768 wherever there is AES-GCM. Throws `ERR_IO` when what stands in for the platform's does not load. */
export const mlKem: MlKem = {
  async generate(extractable) {
    if (hasKem()) {
      try {
        return await webMlKem.generate(extractable)
      } catch {
        // It has KEMs, but not this one.
      }
    }
    return (await loadNoble()).generate(extractable)
  },
  async encapsulate(publicKey) {
    const kem = hasKem() ? webMlKem : await loadNoble()
    return kem.encapsulate(publicKey)
  },
  async decapsulate(privateKey, ciphertext) {
    const isSeed = typeof privateKey === 'object' && privateKey !== null && 'seed' in privateKey
    const kem = isSeed ? await loadNoble() : webMlKem
    return kem.decapsulate(privateKey, ciphertext)
  },
}
