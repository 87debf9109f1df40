/**
 * The message: application data under a message key (docs/PROTOCOL.md, "Message").
 *
 *   struct {
 *     opaque magic[8];        "KFRYMSG", and 0x01, or 0x02 where a sender signed
 *     opaque key_id[32];      which message key; authenticated with the caller's context
 *     opaque salt[24];
 *     opaque commitment[32];  to key, salt, header and context
 *     opaque chunks[];        16384 bytes each and a tag of 16; the last one shorter, possibly empty
 *   }
 *
 * From `salt` on it is C2SP chunked encryption with the context magic || key_id || caller's context.
 */
import { concat, equal, utf8, type Bytes } from './bytes.ts'
import {
  CHUNK_LENGTH,
  COMMITMENT_LENGTH,
  SALT_LENGTH,
  TAG_LENGTH,
  deriveChunkStep,
  runChunks,
  type ChunkStep,
} from './chunk.ts'
import { KeyferryError } from './errors.ts'

const MAGIC = utf8('KFRYMSG')
const PLAIN = 1
const SIGNED = 2
const MAGIC_LENGTH = 8
const KEY_ID_LENGTH = 32

/** Bytes of magic and key id. */
export const MESSAGE_HEADER_LENGTH = 40
/** Bytes before the first chunk. */
export const MESSAGE_PREFIX_LENGTH: number = MESSAGE_HEADER_LENGTH + SALT_LENGTH + COMMITMENT_LENGTH
/** Bytes that a message is longer than its plaintext, and 16 more for each full 16384 bytes of plaintext. */
export const MESSAGE_OVERHEAD: number = MESSAGE_PREFIX_LENGTH + TAG_LENGTH

/** Whether these bytes begin as a message does. Says nothing about the rest. */
export function isMessage(bytes: Uint8Array): boolean {
  const form = bytes[MAGIC.length]
  return equal(bytes.subarray(0, MAGIC.length), MAGIC) && (form === PLAIN || form === SIGNED)
}

/** What the header of a message says. */
export interface MessageHeader {
  /** 32 bytes. */
  keyId: Bytes
  /** Whether the plaintext is framed by a sender's signature (sender.ts). */
  isSigned: boolean
}

/**
 * The header of a message, of which at least the header must be here. It is only a hint which key to try: not
 * authenticated before the message is decrypted. Throws `ERR_MALFORMED` when this is not a message.
 */
export function parseMessageHeader(bytes: Bytes): MessageHeader {
  // PROTOCOL [message-1]
  if (bytes.length < MESSAGE_HEADER_LENGTH || !isMessage(bytes)) {
    throw new KeyferryError('ERR_MALFORMED', 'not a message')
  }
  const keyId = bytes.slice(MAGIC_LENGTH, MESSAGE_HEADER_LENGTH)
  return { keyId, isSigned: bytes[MAGIC.length] === SIGNED }
}

/** Throws `ERR_UNSIGNED` for a message that nobody signed, where a sender is asked for; its commitment must be right already. */
export function requireSigned({ isSigned }: MessageHeader, isAsked: boolean): void {
  // PROTOCOL [sign-9]
  if (isAsked && !isSigned) throw new KeyferryError('ERR_UNSIGNED')
}

/** Bytes of the message for a plaintext of so many bytes. Throws `RangeError` for no length or above 2^46 − 1. */
export function messageLength(plaintextLength: number): number {
  if (!Number.isInteger(plaintextLength) || plaintextLength < 0 || plaintextLength >= 2 ** 46) {
    throw new RangeError(`not a length of plaintext: ${plaintextLength}`)
  }
  const fullChunks = Math.floor(plaintextLength / CHUNK_LENGTH)
  return MESSAGE_OVERHEAD + plaintextLength + fullChunks * TAG_LENGTH
}

/**
 * Encrypts a plaintext under a message key (HMAC with SHA-512 of 32 bytes, usage `sign`, may be non-extractable).
 * `keyId` (32 bytes) is public, `context` must be known again to decrypt, `salt` is 24 fresh random bytes; `isSigned`
 * says in the header that the plaintext is framed by a sender's signature. Throws `RangeError` or `TypeError` for
 * another length or kind of key.
 */
export async function encryptMessage(
  key: CryptoKey,
  keyId: Bytes,
  context: Bytes,
  salt: Bytes,
  plaintext: Bytes,
  isSigned = false,
): Promise<Bytes> {
  const { prefix, step } = await startMessage(key, keyId, context, salt, isSigned)
  const begun = { bytes: prefix, length: MESSAGE_PREFIX_LENGTH }
  return runChunks(step, plaintext, CHUNK_LENGTH, CHUNK_LENGTH + TAG_LENGTH, begun)
}

/**
 * The plaintext of a message. Throws `ERR_MALFORMED` when it has no header of a message; everything else that can be
 * wrong (key, context, a changed byte, truncation) is the same `ERR_OPEN`. `TypeError` for another kind of key.
 */
export async function decryptMessage(
  key: CryptoKey,
  message: Bytes,
  context: Bytes,
): Promise<Bytes> {
  parseMessageHeader(message)
  const step = await openMessage(key, message.subarray(0, MESSAGE_PREFIX_LENGTH), context)
  const chunks = message.subarray(MESSAGE_PREFIX_LENGTH)
  // PROTOCOL [message-2] Also catches a last chunk of full length: nothing is left behind it.
  if (chunks.length % (CHUNK_LENGTH + TAG_LENGTH) < TAG_LENGTH) throw new KeyferryError('ERR_OPEN')
  return runChunks(step, chunks, CHUNK_LENGTH + TAG_LENGTH, CHUNK_LENGTH)
}

/** The step that encrypts chunks, and everything before them, which may be on its way still. For message.ts and message-stream.ts. */
export async function startMessage(
  key: CryptoKey,
  keyId: Bytes,
  context: Bytes,
  salt: Bytes,
  isSigned = false,
): Promise<{ prefix: Promise<Bytes>; step: ChunkStep }> {
  if (keyId.length !== KEY_ID_LENGTH) throw new RangeError('a key id has 32 bytes')
  if (salt.length !== SALT_LENGTH) throw new RangeError('a salt has 24 bytes')
  const header = concat(MAGIC, Uint8Array.of(isSigned ? SIGNED : PLAIN), keyId)
  const ownSalt = salt.slice()
  const { commitment, step } = await deriveChunkStep(
    'encrypt',
    key,
    ownSalt,
    concat(header, context),
  )
  const prefix = commitment.then((made) => concat(header, ownSalt, made))
  prefix.catch(() => {})
  return { prefix, step }
}

/**
 * The step that decrypts the chunks behind a prefix with a valid header, once the commitment matches. Throws `ERR_OPEN`
 * when it does not or the prefix is short. For message.ts and message-stream.ts.
 */
export async function openMessage(
  key: CryptoKey,
  prefix: Bytes,
  context: Bytes,
): Promise<ChunkStep> {
  const header = prefix.subarray(0, MESSAGE_HEADER_LENGTH)
  const salt = prefix.subarray(MESSAGE_HEADER_LENGTH, MESSAGE_HEADER_LENGTH + SALT_LENGTH)
  const claimed = prefix.slice(MESSAGE_HEADER_LENGTH + SALT_LENGTH)
  const derived = await deriveChunkStep('decrypt', key, salt, concat(header, context))
  const commitment = await derived.commitment
  // PROTOCOL [message-2]
  let difference = claimed.length ^ COMMITMENT_LENGTH
  for (let i = 0; i < COMMITMENT_LENGTH; i++) difference |= commitment[i]! ^ (claimed[i] ?? 0)
  if (difference !== 0) throw new KeyferryError('ERR_OPEN')
  return derived.step
}
