import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Keyring } from 'keyferry'

/**
 * Objects of a store with S3's interface, encrypted on the way. `url` is one that your server signed (a presigned URL); `name` is the object's own
 * name, which the object is bound to: under another name it does not open.
 */
export interface ObjectAddress {
  url: string | URL
  name: string
}

/** Length of the message of so many bytes: a header of 96, and a tag of 16 for every begun piece of 16,384. */
export function messageLength(plain: number): number {
  return 96 + plain + 16 * (Math.floor(plain / 16_384) + 1)
}

const contextOf = (name: string): string => `object/${name}`

/** Stores a stream of `size` bytes. S3 wants the length first, so `fetch` with a stream, which sends it in pieces of unknown number, is refused there. */
export async function putObject(
  keyring: Keyring,
  { url, name }: ObjectAddress,
  data: ReadableStream<Uint8Array>,
  size: number,
): Promise<void> {
  const { protocol } = new URL(url)
  const call = (protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'PUT',
    headers: { 'content-length': messageLength(size), 'content-type': 'application/octet-stream' },
  })
  // A stream of another length than `size` ends here, not as half an object there.
  Object.assign(call, { strictContentLength: true })
  const status = new Promise<number>((resolve, reject) => {
    call.once('response', (response) => resolve(response.resume().statusCode ?? 0))
    call.once('error', reject)
  })
  // Waited for below; the pipeline may fail first.
  status.catch(() => {})
  const message = keyring.encryptStream(data, { context: contextOf(name) })
  await pipeline(Readable.fromWeb(message as never), call)
  if ((await status) !== 200) throw new Error(`PUT ${name}: ${await status}`)
}

/** The whole object as a stream. Only its end says that it is whole. */
export async function getObject(
  keyring: Keyring,
  { url, name }: ObjectAddress,
): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(url)
  if (!response.ok || response.body === null) throw new Error(`GET ${name}: ${response.status}`)
  return keyring.decryptStream(response.body, { context: contextOf(name) })
}

/** Bytes `start` to `end` of the object, by requests for the pieces that hold them. */
export async function getRange(
  keyring: Keyring,
  { url, name }: ObjectAddress,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const head = await fetch(url, { method: 'HEAD' })
  const [size, etag] = ['content-length', 'etag'].map((header) => head.headers.get(header))
  if (!head.ok || !size || !etag) throw new Error(`HEAD ${name}: ${head.status}`)
  const read = async (from: number, to: number): Promise<Uint8Array> => {
    // All pieces are of one object: if somebody replaces it meanwhile, the answer is 412.
    const headers = { range: `bytes=${from}-${to - 1}`, 'if-match': etag }
    const response = await fetch(url, { headers })
    if (response.status !== 206) throw new Error(`GET ${name}: ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  }
  return keyring.decryptRange(
    { size: Number(size), read },
    { context: contextOf(name), start, end },
  )
}
