/** A signed plaintext on its way into the stream that encrypts it (docs/PROTOCOL.md, "Sender signatures"). Small: a client has it before it has what signs. */
import { type Bytes } from './bytes.ts'

/** A signature that was begun: what stands before the data, the hash of them, and what makes the signature of that. */
export interface Begun {
  claim: Bytes
  /** SHA-256. */
  hash: { update(data: Uint8Array): unknown; digest(): Bytes }
  sign: (content: Bytes) => Promise<Bytes>
}

/**
 * Puts a claim before what is written to it and a signature behind, for a stream that encrypts. Fails with what `begun` rejects with, and with
 * `TypeError` for pieces that are no `Uint8Array`.
 */
export function createFrameStream(begun: Promise<Begun>): TransformStream<Bytes, Bytes> {
  return new TransformStream<Bytes, Bytes>({
    async start(controller) {
      controller.enqueue((await begun).claim)
    },
    async transform(piece, controller) {
      // What is encrypted is what was hashed, whatever the caller does with its buffer.
      const copy = piece.slice()
      ;(await begun).hash.update(copy)
      controller.enqueue(copy)
    },
    async flush(controller) {
      const { hash, sign } = await begun
      controller.enqueue(await sign(hash.digest()))
    },
  })
}
