/**
 * A range of a message's plaintext out of a few chunks (docs/PROTOCOL.md, "Message"), for messages in files and object stores. What a range
 * proves: the message has the length that its source claims, and every byte of the range stands at its place. It proves nothing of the chunks
 * that were not read.
 */
import { concat, type Bytes } from './bytes.ts'
import { CHUNK_LENGTH, TAG_LENGTH, runChunks } from './chunk.ts'
import { KeyferryError } from './errors.ts'
import { MESSAGE_PREFIX_LENGTH, openMessage, parseMessageHeader } from './message.ts'
import { claimLength, SIGNATURE_LENGTH } from './signed-message.ts'

const SEALED_LENGTH = CHUNK_LENGTH + TAG_LENGTH

/** A message that is read in parts. */
export interface MessageSource {
  /** Bytes of the message. */
  size: number
  /** The bytes from `start` up to, but not including, `end`: exactly so many. */
  read: (start: number, end: number) => Uint8Array | Promise<Uint8Array>
}

async function readExactly(source: MessageSource, start: number, end: number): Promise<Bytes> {
  const bytes = concat(await source.read(start, end))
  if (bytes.length !== end - start)
    throw new KeyferryError('ERR_IO', `read(${start}, ${end}) gave ${bytes.length} bytes`)
  return bytes
}

/**
 * The plaintext from byte `start` up to, but not including, `end`, cut off at the plaintext's own end, as `slice` does. Reads the first 96
 * bytes, then what holds the range and the last chunk: at most three reads, and one of the first chunk where a sender signed, of whom a range
 * proves nothing: whoever has the key may have changed any part. Throws `RangeError` for no such range or size, `ERR_IO` where
 * the source gives more or fewer bytes than asked for, what it and `findKey` throw, `ERR_MALFORMED` for what does not begin as a message,
 * and `ERR_OPEN` for everything else.
 */
export async function decryptMessageRange(
  source: MessageSource,
  context: Bytes,
  findKey: (keyId: Bytes) => Promise<CryptoKey>,
  start: number,
  end: number,
): Promise<Bytes> {
  const { size } = source
  const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
  if (!isWhole(start) || !(isWhole(end) || end === Infinity) || start > end || !isWhole(size))
    throw new RangeError(`no range: ${start} to ${end} of ${size} bytes`)
  const prefix = await readExactly(source, 0, Math.min(size, MESSAGE_PREFIX_LENGTH))
  const { keyId, isSigned } = parseMessageHeader(prefix)
  const key = await findKey(keyId)
  const step = await openMessage(key, prefix, context)

  // PROTOCOL [message-3]
  const sealed = size - MESSAGE_PREFIX_LENGTH
  if (sealed % SEALED_LENGTH < TAG_LENGTH) throw new KeyferryError('ERR_OPEN')
  const last = Math.floor(sealed / SEALED_LENGTH)
  const length = sealed - (last + 1) * TAG_LENGTH
  const at = (chunk: number): number => MESSAGE_PREFIX_LENGTH + chunk * SEALED_LENGTH
  // Where the data stand in the plaintext.
  let [begin, finish] = [0, length]
  if (isSigned) {
    // PROTOCOL [sign-7]
    begin = claimLength(await step(await readExactly(source, at(0), Math.min(at(1), size)), 0))
    finish = length - SIGNATURE_LENGTH
    if (begin > finish) throw new KeyferryError('ERR_MALFORMED', 'no signature')
  }
  const from = Math.min(begin + start, finish)
  const to = Math.min(begin + end, finish)
  // The full chunks of the range, and behind them the last chunk of the message, which is opened always.
  const first = Math.min(Math.floor(from / CHUNK_LENGTH), last)
  const until = from === to ? first : Math.min(Math.ceil(to / CHUNK_LENGTH), last)
  const parts =
    until === last
      ? [[at(first), size] as const]
      : [[at(first), at(until)] as const, [at(last), size] as const]
  const chunks = concat(
    ...(await Promise.all(
      parts.filter(([a, b]) => a < b).map(([a, b]) => readExactly(source, a, b)),
    )),
  )
  const count = until - first
  const plaintext = await runChunks(
    (chunk, i) => step(chunk, i < count ? first + i : last),
    chunks,
    SEALED_LENGTH,
    CHUNK_LENGTH,
  )
  return plaintext.slice(from - first * CHUNK_LENGTH, to - first * CHUNK_LENGTH)
}
