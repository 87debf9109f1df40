/** CRLs out of a file or from a pinned address, bounded in size and time. No address is ever taken from a certificate. */
import { open } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { MAX_CRL } from '../shared/limits.ts'
import { decodePem } from '../shared/pem.ts'

/** Milliseconds for an answer, body included. */
const DEADLINE = 10_000
/** Lists in one PEM file. */
const MAX_LISTS = 8
const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost']

const isUrl = (place: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(place)

/** Throws `ERR_USAGE` for what is neither an absolute path nor an https address (or http on this machine). */
export function checkPlace(place: string): void {
  if (!isUrl(place)) {
    if (isAbsolute(place)) return
    throw new KeyferryError('ERR_USAGE', `neither an absolute path nor an address: ${place}`)
  }
  const url = URL.canParse(place) ? new URL(place) : null
  const isFit =
    url !== null &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.includes(url.hostname))) &&
    url.username === '' &&
    url.password === '' &&
    url.hash === ''
  if (!isFit)
    throw new KeyferryError(
      'ERR_USAGE',
      `not an https address (http only on this machine): ${place}`,
    )
}

const tooLarge = (): KeyferryError =>
  new KeyferryError('ERR_TOO_LARGE', `more than ${MAX_CRL} bytes`)

async function readFileBounded(path: string): Promise<Bytes> {
  const file = await open(path, 'r')
  try {
    // Anything else could be without an end, or wait for ever.
    if (!(await file.stat()).isFile()) throw new KeyferryError('ERR_IO', `${path} is no file`)
    const buffer = new Uint8Array(MAX_CRL + 1)
    let length = 0
    for (let read = 1; read > 0 && length <= MAX_CRL; length += read)
      read = (await file.read(buffer, length, buffer.length - length)).bytesRead
    if (length > MAX_CRL) throw tooLarge()
    return buffer.slice(0, length)
  } finally {
    await file.close()
  }
}

async function download(place: string): Promise<Bytes> {
  const stop = AbortSignal.timeout(DEADLINE)
  const response = await fetch(place, { redirect: 'error', signal: stop, credentials: 'omit' })
  const chunks: Uint8Array[] = []
  let length = 0
  if (!response.ok) {
    await response.body?.cancel()
    throw new KeyferryError('ERR_IO', `the answer is ${response.status}`)
  }
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_CRL) throw tooLarge()
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** The lists at a place, DER. Throws `ERR_IO`, `ERR_TIMEOUT`, `ERR_TOO_LARGE`, and `ERR_CRL` or `ERR_MALFORMED` for what is none. */
export async function readCrls(place: string): Promise<Bytes[]> {
  let bytes: Bytes
  try {
    checkPlace(place)
    bytes = isUrl(place) ? await download(place) : await readFileBounded(place)
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    if ((cause as Error).name === 'TimeoutError')
      throw new KeyferryError('ERR_TIMEOUT', 'no list in time', { cause })
    throw new KeyferryError('ERR_IO', 'no list can be had there', { cause })
  }
  if (bytes[0] === 0x30) return [bytes]
  const lists = decodePem(new TextDecoder().decode(bytes), 'X509 CRL')
  if (lists.length === 0 || lists.length > MAX_LISTS)
    throw new KeyferryError('ERR_CRL', `${lists.length} lists in PEM there`)
  return lists
}
