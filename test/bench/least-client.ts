/**
 * What the platform alone takes of a delivery: the answer is read, its texts are decoded and parsed, the two signatures checked, what is named by a hash hashed, the key
 * to encrypt with unwrapped, compared and derived. No certificate is looked at, no form checked, nothing compared but by the platform, nothing kept, nobody told. A
 * client of this protocol in a page does all of that, and more.
 */
import type { Bytes } from '../../shared/bytes.ts'

/** A signature of a head's length that is good: the least client has no certificate to take a key from. */
export interface Signed {
  key: CryptoKey
  signature: Bytes
  body: Bytes
}

interface Document {
  payload: string
}

/** Of the JSON in front. */
interface Front {
  head: Document
  catalog: Document
  keyrings: { release: string; manifest: number; bundle: number }[]
}

interface Platform {
  fromBase64?: (text: string, options: { alphabet: 'base64url' }) => Bytes
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

function bytesOf(text: string): Bytes {
  const { fromBase64 } = Uint8Array as Platform
  if (fromBase64) return fromBase64(text, { alphabet: 'base64url' })
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (one) =>
    one.charCodeAt(0),
  )
}

const parse = (bytes: Bytes): unknown => JSON.parse(decoder.decode(bytes)) as unknown

async function readAll(response: Response): Promise<Bytes> {
  const reader = (response.body as ReadableStream<Bytes>).getReader()
  let last = new Uint8Array()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return last
    last = value
  }
}

/** Takes deliveries as they come out of a stream, in one part. */
export async function makeLeastClient(
  signed: Signed,
): Promise<(response: Response) => Promise<void>> {
  const { subtle } = crypto
  const uses: KeyUsage[] = ['wrapKey', 'unwrapKey']
  const kek = await subtle.generateKey({ name: 'AES-KW', length: 256 }, false, uses)
  const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 } as const
  const secret = await subtle.generateKey(hmac, true, ['sign'])
  const wrapped = await subtle.wrapKey('raw', secret, kek, 'AES-KW')
  const unwrap = (algorithm: HmacImportParams | 'HKDF', usage: KeyUsage): Promise<CryptoKey> =>
    subtle.unwrapKey('raw', wrapped, kek, 'AES-KW', algorithm, false, [usage])
  const hash = (bytes: Bytes): Promise<ArrayBuffer> => subtle.digest('SHA-256', bytes)
  const derived = {
    name: 'HKDF',
    hash: 'SHA-512',
    salt: new Uint8Array(),
    info: new Uint8Array(90),
  }
  const own = { name: 'HMAC', hash: 'SHA-512', length: 256 } as const
  const leaf = new Uint8Array(49)
  const openDocument = async ({ payload }: Document): Promise<void> => {
    const bytes = bytesOf(payload)
    parse(bytes)
    if (!(await subtle.verify('Ed25519', signed.key, signed.signature, signed.body)))
      throw new Error('not signed')
    await hash(encoder.encode(`DSSEv1 ${payload}`))
  }
  return async (response) => {
    const body = await readAll(response)
    const length = new DataView(body.buffer, body.byteOffset).getUint32(0)
    const front = parse(body.subarray(4, 4 + length)) as Front
    await openDocument(front.head)
    await openDocument(front.catalog)
    const [{ release, manifest, bundle }] = front.keyrings as [Front['keyrings'][number]]
    const bytes = bytesOf(release)
    parse(bytes)
    await hash(bytes)
    await hash(leaf)
    await hash(leaf)
    // In the order in which they are there.
    const middle = body.length - manifest
    await hash(body.subarray(middle))
    await hash(body.subarray(middle - bundle, middle))
    await subtle.sign('HMAC', await unwrap(hmac, 'sign'), leaf)
    await subtle.deriveKey(derived, await unwrap('HKDF', 'deriveKey'), own, false, ['sign'])
  }
}
