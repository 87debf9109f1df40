/** Streams as apps have them, for those that are compared: in Node and in browsers. */
import { type Bytes } from '../../shared/bytes.ts'

/** Reads a stream to its end and lets go of every piece, as whoever writes it elsewhere does. Returns the last piece. */
export async function drain(stream: ReadableStream<Uint8Array>): Promise<Bytes> {
  const reader = stream.getReader()
  let last = new Uint8Array()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return last
    last = value as Bytes
  }
}

/** Bytes as a stream of 64 KiB at a time. */
export function streamOf(data: Bytes): ReadableStream<Bytes> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) return controller.close()
      controller.enqueue(data.subarray(at, at + 65_536))
      at += 65_536
    },
  })
}
