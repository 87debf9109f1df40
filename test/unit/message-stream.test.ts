// Streams of messages at their ends: a reader or a source that goes away, and parameters that are wrong before anybody writes.
import { describe, expect, it, vi } from 'vitest'
import { CHUNK_LENGTH } from '../../shared/chunk.ts'
import { encryptMessage } from '../../shared/message.ts'
import {
  createDecryptStream,
  createEncryptStream,
  pipeThrough,
} from '../../shared/message-stream.ts'
import { subtle } from '../../shared/platform.ts'

const importKey = (hash: string) =>
  subtle().importKey('raw', new Uint8Array(32), { name: 'HMAC', hash }, false, ['sign'])
const make = async (hash = 'SHA-512') =>
  createEncryptStream(
    await importKey(hash),
    new Uint8Array(32),
    new Uint8Array(),
    new Uint8Array(24),
  )

it('what is closed while its reader goes away fails with the reason of the reader', async () => {
  const { readable, writable } = await make()
  const writer = writable.getWriter()
  const closed = writer.closed.catch((error: unknown) => error)
  await writer.write(new Uint8Array(40_000))
  const closing = writer.close().catch((error: unknown) => error)
  const reason = new Error('enough')
  await readable.cancel(reason)
  expect([await closing, await closed]).toEqual([reason, reason])
})

it('nothing more of a long piece is worked on when its reader went away', async () => {
  const { readable, writable } = await make()
  const writing = writable.getWriter().write(new Uint8Array(400 * CHUNK_LENGTH))
  const reader = readable.getReader()
  // Two: what comes first is the message's prefix, before anything of the piece.
  for (let i = 0; i < 2; i++) await reader.read()
  const reason = new Error('enough')
  await reader.cancel(reason)
  await expect(writing).rejects.toBe(reason)
})

it('a key of another kind fails the stream at once, for the reader too, although nobody writes', async () => {
  const { readable } = await make('SHA-256')
  await expect(readable.getReader().read()).rejects.toThrow(TypeError)
})

/** A source that gives these pieces and then neither more nor its end, and notes why it was let go. */
function sourceOf(...pieces: unknown[]) {
  const seen: { pulls: number; cancelled: unknown } = { pulls: 0, cancelled: undefined }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        seen.pulls++
        const piece = pieces.shift()
        if (piece === undefined) return new Promise(() => {})
        if (piece instanceof Error) throw piece
        controller.enqueue(piece as Uint8Array)
        return undefined
      },
      cancel: (reason) => void (seen.cancelled = reason),
    },
    { highWaterMark: 0 },
  )
  return { seen, stream }
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<number> {
  let count = 0
  for await (const piece of stream) count += piece.length
  return count
}

describe('a source that is read without a WritableStream', () => {
  const piece = new Uint8Array(40_000)
  const reason = new Error('enough')

  it('is let go when the reader goes away, also while it gives nothing', async () => {
    const { seen, stream } = sourceOf(piece)
    const out = pipeThrough(stream, await make(), undefined)
    const reader = out.getReader()
    for (const length of [96, 16_400, 16_400])
      expect((await reader.read()).value).toHaveLength(length)
    await reader.cancel(reason)
    expect(seen.cancelled).toBe(reason)
  })

  it.each(['before', 'while'])('is let go when its signal stops, %s it is read', async (when) => {
    const { seen, stream } = sourceOf(piece)
    const abort = new AbortController()
    if (when === 'before') abort.abort(reason)
    const reading = readAll(pipeThrough(stream, await make(), abort.signal))
    if (when === 'while') {
      await expect.poll(() => seen.pulls).toBe(2)
      abort.abort(reason)
    }
    await expect(reading).rejects.toBe(reason)
    expect(seen.cancelled).toBe(reason)
    expect(seen.pulls).toBe(when === 'before' ? 0 : 2)
  })

  it('fails the stream with what it fails with', async () => {
    const { stream } = sourceOf(piece, reason)
    await expect(readAll(pipeThrough(stream, await make(), undefined))).rejects.toBe(reason)
  })

  it('is let go when a piece is not of bytes', async () => {
    const { seen, stream } = sourceOf(piece, 'text')
    await expect(readAll(pipeThrough(stream, await make(), undefined))).rejects.toThrow(TypeError)
    expect(seen.cancelled).toBeInstanceOf(TypeError)
  })

  it('is let go, unread, when the key is of another kind', async () => {
    const { seen, stream } = sourceOf(piece)
    const out = pipeThrough(stream, await make('SHA-256'), undefined)
    await expect(readAll(out)).rejects.toThrow(TypeError)
    expect(seen).toEqual({ pulls: 0, cancelled: expect.any(TypeError) as TypeError })
  })

  it('is refused where somebody else reads it', async () => {
    const { stream } = sourceOf(piece)
    stream.getReader()
    const transform = await make()
    expect(() => pipeThrough(stream, transform, undefined)).toThrow(TypeError)
  })

  it('is not read further than there is room', async () => {
    const { seen, stream } = sourceOf(...Array.from({ length: 100 }, () => new Uint8Array(16_384)))
    pipeThrough(stream, await make(), undefined)
    await expect.poll(() => seen.pulls).toBeGreaterThan(15)
    await new Promise((resolve) => setTimeout(resolve, 50))
    // So many chunks at once, and the piece that waits for room.
    expect(seen.pulls).toBeLessThanOrEqual(17)
  })

  it('leaves nothing behind at the signal', async () => {
    const { signal } = new AbortController()
    const [added, removed] = [
      vi.spyOn(signal, 'addEventListener'),
      vi.spyOn(signal, 'removeEventListener'),
    ]
    const out = pipeThrough(new Response(piece).body!, await make(), signal)
    expect(await readAll(out)).toBe(96 + 40_000 + 3 * 16)
    await expect.poll(() => removed.mock.calls.length).toBe(1)
    expect(removed.mock.calls).toEqual(added.mock.calls)
  })

  it.each(['end', 'abort', 'cancel', 'error'])('is free again after its %s', async (how) => {
    const { stream } = sourceOf(piece, ...(how === 'error' ? ['text'] : []))
    const source = how === 'end' ? new Response(piece).body! : stream
    const abort = new AbortController()
    const reader = pipeThrough(source, await make(), abort.signal).getReader()
    await reader.read()
    expect(source.locked).toBe(true)
    if (how === 'abort') abort.abort(reason)
    if (how === 'cancel') await reader.cancel(reason)
    else
      await (async () => {
        while (!(await reader.read()).done);
      })().catch(() => {})
    await expect.poll(() => source.locked).toBe(false)
  })

  it('of which only the head had come when it was stopped asks for no key', async () => {
    const message = await encryptMessage(
      await importKey('SHA-512'),
      new Uint8Array(32),
      new Uint8Array(),
      new Uint8Array(24),
      piece,
    )
    const { seen, stream } = sourceOf(message.slice(0, 60))
    const findKey = vi.fn(() => importKey('SHA-512'))
    const abort = new AbortController()
    const out = pipeThrough(stream, createDecryptStream(new Uint8Array(), findKey), abort.signal)
    const reading = readAll(out)
    await expect.poll(() => seen.pulls).toBe(2)
    abort.abort(reason)
    await expect(reading).rejects.toBe(reason)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(findKey).not.toHaveBeenCalled()
  })
})

it("a bad chunk fails the stream while a slow reader leaves no room, and is nobody else's error", async () => {
  const key = await importKey('SHA-512')
  const [id, context] = [new Uint8Array(32), new Uint8Array()]
  const plain = new Uint8Array(40 * CHUNK_LENGTH)
  const message = await encryptMessage(key, id, context, new Uint8Array(24), plain)
  // The seventeenth chunk: for it there is room once one was read.
  message[96 + 16 * (CHUNK_LENGTH + 16)]! ^= 1
  const source = new Response(message).body!
  const stream = createDecryptStream(context, () => Promise.resolve(key))
  const reader = pipeThrough(source, stream, undefined).getReader()
  await reader.read()
  await new Promise((resolve) => setTimeout(resolve, 50))
  await expect(reader.closed).rejects.toMatchObject({ code: 'ERR_OPEN' })
})
