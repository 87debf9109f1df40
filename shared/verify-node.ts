/**
 * Signatures verified by Node's own crypto, loaded on Node alone: by the same OpenSSL as WebCrypto's there, which hands each signature to another thread and back.
 */
import type { Bytes } from './bytes.ts'
import type { NodeCrypto } from './platform.ts'
import { ecdsaToDer, type VerifyKey } from './signature.ts'

/** True when the signature (64 bytes: RFC 8032, or `r || s`) over `data` is valid; what is told apart by form was looked at before. */
export function verifyByNode(
  { KeyObject, verify }: NodeCrypto,
  { alg, key }: VerifyKey,
  signature: Bytes,
  data: Bytes,
): boolean {
  const object = KeyObject.from(key)
  // As DER, which OpenSSL takes as it is: of `r || s` Node makes that in a third of the time of the check.
  return alg === 'ES256'
    ? verify('sha256', data, object, ecdsaToDer(signature))
    : verify(null, data, object, signature)
}
