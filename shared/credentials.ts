/**
 * The signature of a call where it cannot be in headers (docs/PROTOCOL.md, "Admission"): certificates, input and signature as one JSON document, which
 * makes up a ticket, and which is the first line of what a client posts. A page that sets no header of its own is not held up by a preflight.
 */
import { concat, utf8, type Bytes } from './bytes.ts'
import {
  CALL,
  contentDigest,
  makeInput,
  readInput,
  signatureBase,
  readOrRefuse,
  unauthorized,
  type AnySigner,
  type Call,
  type CallSignature,
} from './http-signature.ts'
import { encodeJson, parseJson } from './json.ts'
import { MAX_CERTIFICATES, MAX_CREDENTIALS } from './limits.ts'
import { bytes, list, object, text } from './schema.ts'
import { signBytes } from './signature.ts'

const LINE_FEED = utf8('\n')

/** Makes credentials over these components, from `now` (seconds) on; `once` as {@link makeInput} has it. */
export async function signCredentials(
  components: string,
  tag: string,
  call: Pick<Call, 'method' | 'url'>,
  content: string,
  signer: AnySigner,
  now: number,
  once?: string,
): Promise<Bytes> {
  // Of one moment: a renewal changes them.
  const { key, certificates } = signer
  const parameters = await makeInput(components, tag, certificates, now, once)
  const signature = await signBytes(key, signatureBase(components, parameters, call, content))
  return encodeJson({ certificates, input: `keyferry=${parameters}`, signature })
}

const credentialsSchema = object({
  certificates: list(bytes(1, 16_384), 1, MAX_CERTIFICATES),
  input: text(400),
  signature: bytes(64),
})

/** Reads credentials over exactly these components. Throws `ERR_UNAUTHORIZED`. */
export function readCredentials(
  document: Bytes,
  components: string,
  tag: string,
  call: Pick<Call, 'method' | 'url'>,
  content: string,
): CallSignature {
  // PROTOCOL [relay-2]
  const { certificates, input, signature } = readOrRefuse(() =>
    credentialsSchema(parseJson(document, MAX_CREDENTIALS), ''),
  )
  return { ...readInput(input, components, tag, call, content), certificates, signature }
}

/** What a client posts: credentials over the digest of the body, a line feed, the body. `now` in seconds. */
export async function signBody(call: Call, signer: AnySigner, now: number): Promise<Bytes> {
  const content = await contentDigest(call.body)
  const credentials = await signCredentials(CALL, 'keyferry', call, content, signer, now)
  return concat(credentials, LINE_FEED, call.body)
}

/** Takes apart what a client posted; the signature is not verified yet. Throws `ERR_UNAUTHORIZED`. */
export async function readSignedBody(
  posted: Call,
): Promise<{ signature: CallSignature; body: Bytes }> {
  // JSON of one line, and so the first one ends it.
  const end = posted.body.indexOf(LINE_FEED[0]!)
  // PROTOCOL [relay-2]
  if (end < 0) throw unauthorized()
  const body = posted.body.subarray(end + 1)
  const content = await contentDigest(body)
  const credentials = posted.body.subarray(0, end)
  return { signature: readCredentials(credentials, CALL, 'keyferry', posted, content), body }
}
