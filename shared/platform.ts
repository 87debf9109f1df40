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
