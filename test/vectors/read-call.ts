/** A call that is read as a whole, its body too. */
import { sha256 } from '../../shared/hash.ts'
import {
  readCallHead,
  requireDigest,
  type Call,
  type CallSignature,
} from '../../shared/http-signature.ts'

/** Reads the signature of a call. Throws `ERR_UNAUTHORIZED` if it has none of the right form or the digest is not that of the body. */
export function readCall(
  call: Call,
  header: (name: string) => string | null | undefined,
): CallSignature {
  const signature = readCallHead(call, header)
  requireDigest(signature, sha256(call.body))
  return signature
}
