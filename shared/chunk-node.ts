/**
 * Chunks of messages opened by Node's own crypto, loaded on Node alone: WebCrypto there takes longer to hand 16 KiB to another thread and back than this takes to
 * decrypt them. To encrypt them it would be no quicker: the tag has to be put behind in other memory.
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

/** Decrypts chunks. Rejects for what does not decrypt. `raw` is not used any more when it returns. */
export function createNodeDecipher(
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
    if (++count % TURN === 0) pause = rest()
    // Whoever works on other chunks beside this one waits as well.
    await pause
    return length === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + length)
  }
}
