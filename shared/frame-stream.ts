/** A signed plaintext on its way into the stream that encrypts it (docs/PROTOCOL.md, "Sender signatures"). Small: a client has it before it has what signs. */
import type { Bytes } from './bytes.ts'
import type { FrameWriter } from './signed-message.ts'

/**
 * Puts a claim before what is written to it and a signature behind, for a stream that encrypts. Fails with what `writer` rejects with, and with
 * `TypeError` for pieces that are no `Uint8Array`, or in memory that is shared, can be resized or was given away.
 */
export function createFrameStream(writer: Promise<FrameWriter>): TransformStream<Bytes, Bytes> {
  return new TransformStream<Bytes, Bytes>({
    async start(controller) {
      controller.enqueue((await writer).claim)
    },
    async transform(piece, controller) {
      controller.enqueue((await writer).take(piece))
    },
    async flush(controller) {
      controller.enqueue(await (await writer).end())
    },
  })
}
