/** Keys of the stand-in for WebCrypto: what can be seen of them is what WebCrypto shows, and their bytes are reached from this folder only. */
import { type Bytes } from '../../shared/bytes.ts'

/** What a key is made of. Curves: seed, scalar or point; RSA: modulus and exponent in `rsa`. */
export interface Material {
  bytes: Bytes
  rsa?: { modulus: bigint; exponent: bigint }
}

const materials = new WeakMap<CryptoKey, Material>()

class NobleKey implements CryptoKey {
  readonly type: KeyType
  readonly extractable: boolean
  readonly algorithm: KeyAlgorithm
  readonly usages: KeyUsage[]

  constructor(type: KeyType, extractable: boolean, algorithm: KeyAlgorithm, usages: KeyUsage[]) {
    this.type = type
    this.extractable = extractable
    this.algorithm = Object.freeze(algorithm)
    this.usages = Object.freeze(usages) as KeyUsage[]
    Object.freeze(this)
  }
}

/** Why something was refused, by the names of WebCrypto's DOMExceptions, which such platforms may lack. */
export function refuse(name: string, message: string): never {
  throw Object.assign(new Error(message), { name })
}

/** A new key of this material. */
export function makeKey(
  type: KeyType,
  algorithm: KeyAlgorithm,
  extractable: boolean,
  usages: readonly KeyUsage[],
  material: Material,
): CryptoKey {
  const key = new NobleKey(type, extractable || type === 'public', { ...algorithm }, [...usages])
  materials.set(key, material)
  return key
}

/** The material of a key for a use that it has. Throws `InvalidAccessError` for another, or for a key that is not of here. */
export function materialFor(key: CryptoKey, algorithm: string, usage: KeyUsage | null): Material {
  const material = materials.get(key)
  if (material === undefined) refuse('InvalidAccessError', 'a key of another implementation')
  if (key.algorithm.name !== algorithm) refuse('InvalidAccessError', `not a key for ${algorithm}`)
  if (usage !== null && !key.usages.includes(usage))
    refuse('InvalidAccessError', `not a key to ${usage} with`)
  return material
}

/** The material of a key that may be read. Throws `InvalidAccessError`. */
export function readMaterial(key: CryptoKey): Material {
  if (!key.extractable) refuse('InvalidAccessError', 'the key is not extractable')
  return materialFor(key, key.algorithm.name, null)
}
