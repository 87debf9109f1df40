/**
 * C2SP chunked encryption with SHA-512 and AES-256-GCM (docs/PROTOCOL.md, "Message"; c2sp.org/chunked-encryption): key
 * schedule and the encryption of one chunk. The message around it is in message.ts, the stream in message-stream.ts.
 */
import { concat, utf8, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { nodeCrypto, subtle } from './platform.ts'

/** Bytes of plaintext in every chunk but the last one, which is shorter and may be empty. */
export const CHUNK_LENGTH = 16384
/** Bytes that AES-GCM adds to a chunk. */
export const TAG_LENGTH = 16
/** Bytes of a salt. */
export const SALT_LENGTH = 24
/** Bytes of a commitment. */
export const COMMITMENT_LENGTH = 32
/** Chunks in flight at once: enough to hide the latency of WebCrypto, few enough to bound the memory. */
export const CHUNKS_IN_FLIGHT = 16

const MAX_CHUNKS = 2 ** 32
const LABEL = utf8('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0')

const NO_PREFIX = { bytes: new Uint8Array(0), length: 0 }

/** Encrypts or decrypts chunk number `index`, counted from 0. It takes its copy of `chunk` before it returns. */
export type ChunkStep = (chunk: Bytes, index: number) => Promise<Bytes>

/** AES-256-GCM of one chunk under a nonce that does not repeat. */
export type ChunkCipher = (iv: Bytes, chunk: Bytes) => Promise<ArrayBuffer>

/** The platform's cipher of one message; `raw` is its key, and the caller's to wipe afterwards. */
async function importCipher(usage: 'encrypt' | 'decrypt', raw: Bytes): Promise<ChunkCipher> {
  const cipher = subtle()
  const key = await cipher.importKey('raw', raw, 'AES-GCM', false, [usage])
  return (iv, chunk) => cipher[usage]({ name: 'AES-GCM', iv }, key, chunk)
}

/**
 * Derives key, base nonce and commitment of one message ("Key derivation") and returns the step for its chunks with the commitment, which may be on its
 * way still: to encrypt a chunk nobody has to wait for it. `key` is the message key: HMAC with SHA-512, 32 bytes, usage `sign`; `salt` has 24 bytes and never
 * repeats under one key. The step rejects with `ERR_OPEN` for whatever does not decrypt, and with `ERR_TOO_LARGE` when
 * encrypting more than 2^32 chunks. Throws `TypeError` for another kind of key.
 */
export async function deriveChunkStep(
  usage: 'encrypt' | 'decrypt',
  key: CryptoKey,
  salt: Bytes,
  context: Bytes,
): Promise<{ commitment: Promise<Bytes>; step: ChunkStep }> {
  // Only an HMAC key has a hash and a length.
  const kind = key.algorithm as { hash?: KeyAlgorithm; length?: number }
  if (kind.hash?.name !== 'SHA-512' || kind.length !== 256) {
    throw new TypeError('not a message key')
  }
  // HKDF-Expand of 76 bytes by hand, because the HKDF of WebCrypto always extracts:
  // key(32) || base nonce(12) || commitment(32) = T(1) || the first 12 bytes of T(2).
  const info = concat(LABEL, salt, context)
  const t1 = await hmac(key, info, Uint8Array.of(1))
  const [baseNonce, begun] = [t1.slice(32, 44), t1.slice(44)]
  const commitment = hmac(key, t1, info, Uint8Array.of(2)).then((t2) =>
    concat(begun, t2.subarray(0, 12)),
  )
  // Whoever needs it hears of it; whoever fails before that does not.
  commitment.catch(() => {})
  const raw = t1.subarray(0, 32)
  const node = nodeCrypto()
  const cipher = node
    ? (await import('./chunk-node.ts'))[usage](node, raw)
    : await importCipher(usage, raw)
  t1.fill(0)

  const fail = (error: unknown): never => {
    throw usage === 'decrypt' ? new KeyferryError('ERR_OPEN') : error
  }
  const step: ChunkStep = (chunk, index) => {
    // One of its own for every call, whenever that reads it.
    const iv = baseNonce.slice()
    for (let i = 0; i < 4; i++) iv[11 - i]! ^= index >>> (8 * i)
    const made =
      index < MAX_CHUNKS
        ? cipher(iv, chunk)
        : Promise.reject<ArrayBuffer>(new KeyferryError('ERR_TOO_LARGE'))
    return made.then((bytes) => new Uint8Array(bytes), fail)
  }
  return { commitment, step }
}

/**
 * Runs `step` over all of `input`, cut into chunks of `from` bytes, each of which becomes `to` bytes; the last one is
 * shorter by rule ("Message chunking"). Returns the prefix of so many bytes, which may still be made, and behind it the results; throws what
 * it or the first failing step throws.
 */
export async function runChunks(
  step: ChunkStep,
  input: Bytes,
  from: number,
  to: number,
  prefix: { bytes: Bytes | Promise<Bytes>; length: number } = NO_PREFIX,
): Promise<Bytes> {
  const count = Math.floor(input.length / from) + 1
  if (count === 1) return concat(...(await Promise.all([prefix.bytes, step(input, 0)])))
  const output = new Uint8Array(prefix.length + input.length + count * (to - from))
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      const chunk = input.subarray(index * from, (index + 1) * from)
      try {
        output.set(await step(chunk, index), prefix.length + index * to)
      } catch (error) {
        next = count // the other lanes stop too
        throw error
      }
    }
  }
  const lanes = Array.from({ length: Math.min(count, CHUNKS_IN_FLIGHT) }, lane)
  const [begun] = await Promise.all([prefix.bytes, ...lanes])
  output.set(begun)
  return output
}

/**
 * Throws `TypeError` for what a stream cannot take as bytes: another type has another length, or none, and memory that was given away has none left, which would be
 * lost without a word; and memory that is shared or can be resized may change between two looks.
 */
export function requirePiece(piece: unknown): asserts piece is Bytes {
  if (
    !(piece instanceof Uint8Array && piece.buffer instanceof ArrayBuffer) ||
    (piece.buffer as { resizable?: boolean }).resizable
  )
    throw new TypeError('not fixed bytes')
  // Throws for memory that was given away.
  piece.buffer.slice(0, 0)
}

async function hmac(key: CryptoKey, ...parts: Bytes[]): Promise<Bytes> {
  return new Uint8Array(await subtle().sign('HMAC', key, concat(...parts)))
}
