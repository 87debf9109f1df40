/**
 * Chunks of messages by Node's own crypto, loaded on Node alone: WebCrypto there takes longer to hand 16 KiB to another thread and back than this takes to
 * encrypt or decrypt them.
 */
import type { Bytes } from './bytes.ts'
import { TAG_LENGTH, type ChunkCipher } from './chunk.ts'
import { subtle, type NodeCrypto } from './platform.ts'

const CIPHER = 'aes-256-gcm'
const OPTIONS = { authTagLength: TAG_LENGTH }
/** Chunks after which other work of the thread has its turn: about a millisecond. */
const TURN = 64

/** Lets other work of the thread have its turn: by another thread, because the clocks and `setImmediate` of a test may be at a standstill. */
async function rest(): Promise<void> {
  await subtle().digest('SHA-256', new Uint8Array())
}

/** Of all messages: many that are short hold up a thread as one does that is long. */
let count = 0
let pause: Promise<void> | undefined

/** Of many messages beside one another, too. */
async function takeTurns(): Promise<void> {
  if (++count % TURN === 0) pause = rest()
  // Whoever works on other chunks beside this one waits as well.
  await pause
}

/** Encrypts chunks. `raw` is not used any more when it returns. */
export function encrypt({ createSecretKey, createCipheriv }: NodeCrypto, raw: Bytes): ChunkCipher {
  const key = createSecretKey(raw)
  return async (iv, chunk) => {
    const cipher = createCipheriv(CIPHER, key, iv, OPTIONS)
    const sealed = new Uint8Array(chunk.length + TAG_LENGTH)
    sealed.set(cipher.update(chunk))
    cipher.final()
    sealed.set(cipher.getAuthTag(), chunk.length)
    await takeTurns()
    return sealed.buffer
  }
}

/** Decrypts chunks. Rejects for what does not decrypt. `raw` is not used any more when it returns. */
export function decrypt(
  { createSecretKey, createDecipheriv }: NodeCrypto,
  raw: Bytes,
): ChunkCipher {
  const key = createSecretKey(raw)
  return async (iv, chunk) => {
    const cipher = createDecipheriv(CIPHER, key, iv, OPTIONS)
    cipher.setAuthTag(chunk.subarray(-TAG_LENGTH))
    const { buffer, byteOffset, length } = cipher.update(chunk.subarray(0, -TAG_LENGTH))
    // Throws for another tag: before that, nobody has a byte.
    cipher.final()
    await takeTurns()
    return length === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + length)
  }
}
