/**
 * The WebCrypto in use: the platform's own, unless another one was put in its place (web/noble, for platforms that have none). All that needs
 * keys or hashes of any size asks here.
 */
import { KeyferryError } from './errors.ts'

let installed: SubtleCrypto | undefined

/** Puts another implementation in the place of the platform's, for all that is called from now on; `undefined` takes it away again. */
export function installSubtle(other: SubtleCrypto | undefined): void {
  installed = other
}

/** The WebCrypto in use. Throws `ERR_UNSUPPORTED` where there is none. */
export function subtle(): SubtleCrypto {
  // Browsers hide it from pages that did not come over HTTPS.
  const found = installed ?? (globalThis.crypto as Partial<Crypto> | undefined)?.subtle
  if (found === undefined)
    throw new KeyferryError(
      'ERR_UNSUPPORTED',
      'no WebCrypto: serve the page over HTTPS, or install keyferry/noble',
    )
  return found
}

/** Of Node's crypto, what encrypts and decrypts chunks of messages and verifies signatures. */
export interface NodeCrypto {
  createSecretKey: (key: Uint8Array) => unknown
  createCipheriv: MakeCipher
  createDecipheriv: MakeCipher
  KeyObject: { from: (key: CryptoKey) => object }
  verify: (
    hash: string | undefined,
    data: Uint8Array,
    key: object,
    signature: Uint8Array,
  ) => boolean
}

type MakeCipher = (name: string, key: unknown, iv: Uint8Array, options: object) => NodeCipher

/** A cipher of Node. */
interface NodeCipher {
  update(data: Uint8Array): Uint8Array<ArrayBuffer>
  final(): Uint8Array
  getAuthTag(): Uint8Array
  setAuthTag(tag: Uint8Array): void
}

/** Node's own crypto on Node; `undefined` elsewhere, also where Node is imitated, and where another implementation is in the place of the platform's. */
export function nodeCrypto(): NodeCrypto | undefined {
  const { navigator, process } = globalThis as {
    navigator?: { userAgent?: string }
    process?: { getBuiltinModule?: (name: string) => NodeCrypto }
  }
  // In this order: a page pays for a look at its navigator.
  return !installed && process?.getBuiltinModule && navigator?.userAgent?.startsWith('Node')
    ? process.getBuiltinModule('node:crypto')
    : undefined
}
