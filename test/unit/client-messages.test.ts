// What an app does with messages beyond encrypt and decrypt: streams of all kinds of data, ranges, and what to encrypt again.
import { describe, expect, it } from 'vitest'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { isMessage, type StreamData } from '../../web/index.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { random } from '../lib/world.ts'

const CHUNK = 16384

async function openNotes() {
  const relay = await ClientRelay.start()
  const client = await openClient(relay)
  return { relay, client, notes: await client.keyring('notes') }
}

const whole = async (stream: ReadableStream<Uint8Array>): Promise<Bytes> =>
  new Response(stream as ReadableStream<Bytes>).bytes()

/** A stream that counts its pieces of one chunk each, of which there are more than any test reads. */
function manyPieces() {
  const seen: { pulls: number; cancelled: unknown } = { pulls: 0, cancelled: undefined }
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (++seen.pulls === 2_000) return controller.close()
      controller.enqueue(new Uint8Array(CHUNK))
    },
    cancel: (reason) => void (seen.cancelled = reason),
  })
  return { seen, stream }
}
/** The same in memory that is shared. */
function shared(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(new SharedArrayBuffer(bytes.length))
  out.set(bytes)
  return out
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 50))

describe('streams', () => {
  const data = crypto.getRandomValues(new Uint8Array(60_000))
  const pieces = (bytes: Uint8Array) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7_000)
          controller.enqueue(bytes.slice(at, at + 7_000))
        controller.close()
      },
    })

  it.each<[string, StreamData, Uint8Array]>([
    ['a text', 'Grüße', utf8('Grüße')],
    ['an empty text', '', new Uint8Array()],
    ['bytes', data, data],
    ['a part of a buffer', data.subarray(5, 40_000), data.subarray(5, 40_000)],
    ['shared memory', shared(data), data],
    ['an ArrayBuffer', data.slice().buffer, data],
    ['a Blob', new Blob([data]), data],
    ['a stream', pieces(data), data],
  ])('%s becomes a message', async (_name, given, expected) => {
    const { notes } = await openNotes()
    const message = await whole(notes.encryptStream(given, { context: 'x' }))
    expect(await notes.decrypt(message, { context: 'x' })).toEqual(Uint8Array.from(expected))
  })

  it('a message of each kind becomes bytes', async () => {
    const { notes } = await openNotes()
    const message = await notes.encrypt(data, { context: 'x' })
    const bytes = [message, shared(message), message.slice().buffer]
    for (const given of [...bytes, new Blob([message]), pieces(message)])
      expect(await whole(notes.decryptStream(given, { context: 'x' }))).toEqual(data)
    await expectCode(whole(notes.decryptStream(message)), 'ERR_OPEN')
    await expectCode(
      whole(notes.decryptStream(message, { context: 'x', minVersion: 3 })),
      'ERR_KEY_VERSION',
    )
  })

  it('bytes are copied: the caller may go on with its buffer', async () => {
    const { notes } = await openNotes()
    const own = data.slice()
    const stream = notes.encryptStream(own)
    own.fill(0)
    expect(await notes.decrypt(await whole(stream))).toEqual(data)
  })

  it('data are taken no faster than they are read', async () => {
    const { notes } = await openNotes()
    const { seen, stream } = manyPieces()
    const reader = notes.decryptStream(notes.encryptStream(stream)).getReader()
    await reader.read()
    await settle()
    expect(seen.pulls).toBeLessThan(80)
    const before = seen.pulls
    for (let i = 0; i < 200; i++) await reader.read()
    expect(seen.pulls).toBeGreaterThan(before)
    expect(seen.pulls).toBeLessThan(280)
    await reader.cancel('enough')
    await settle()
    expect(seen.cancelled).toBe('enough')
  })

  it.each(['encryptStream', 'signed', 'decryptStream'] as const)(
    '%s is stopped by its signal, at both ends and with its reason',
    async (way) => {
      const { notes } = await openNotes()
      const { seen, stream } = manyPieces()
      const given = way === 'decryptStream' ? notes.encryptStream(stream) : stream
      const abort = new AbortController()
      const reason = new Error('not any more')
      const open = (taken: ReadableStream<Uint8Array>) =>
        way === 'decryptStream'
          ? notes.decryptStream(taken, { signal: abort.signal })
          : notes.encryptStream(taken, { signal: abort.signal, sign: way === 'signed' })
      const reader = open(given).getReader()
      await reader.read()
      abort.abort(reason)
      const drain = async () => {
        while (!(await reader.read()).done);
      }
      await expect(drain()).rejects.toBe(reason)
      await settle()
      expect(seen.cancelled).toBe(reason)
      await expect(open(manyPieces().stream).getReader().read()).rejects.toBe(reason)
    },
  )

  it('a stream that has no key fails at once, without anything written to it', async () => {
    const { client, notes } = await openNotes()
    client.close()
    await expectCode(notes.encryptStream().readable.getReader().read(), 'ERR_CLOSED')
    const waiting = new ReadableStream<Uint8Array>()
    await expectCode(notes.encryptStream(waiting).getReader().read(), 'ERR_CLOSED')
    const signed = notes.encryptStream(new ReadableStream<Uint8Array>(), { sign: true })
    await expectCode(signed.getReader().read(), 'ERR_CLOSED')
  })

  it('pieces that are no bytes are refused, not lost', async () => {
    const { notes } = await openNotes()
    for (const piece of [
      data.buffer,
      new DataView(data.buffer),
      Uint16Array.of(300),
      'text',
      [1],
    ]) {
      const given = new ReadableStream<never>({
        start(controller) {
          controller.enqueue(piece as never)
          controller.close()
        },
      })
      await expect(whole(notes.encryptStream(given))).rejects.toThrow(TypeError)
    }
  })

  // WebCrypto takes no such chunk, Node's own cipher does.
  it('pieces in shared memory are refused on every engine, whatever their length', async () => {
    const { notes } = await openNotes()
    const long = new Uint8Array(3 * CHUNK)
    const message = await notes.encrypt(long)
    for (const length of [7_000, long.length]) {
      const given = (bytes: Uint8Array) =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            for (let at = 0; at < bytes.length; at += length)
              controller.enqueue(shared(bytes.subarray(at, at + length)))
            controller.close()
          },
        })
      for (const stream of [
        notes.encryptStream(given(long)),
        notes.encryptStream(given(long), { sign: true }),
        notes.decryptStream(given(message)),
      ])
        await expect(whole(stream)).rejects.toThrow(TypeError)
    }
  })
})

describe('ranges', () => {
  it('come out of bytes, blobs and whatever can read a part', async () => {
    const { notes } = await openNotes()
    const data = Uint8Array.from({ length: 5 * CHUNK }, (_, i) => i ^ (i >> 8))
    const message = await notes.encrypt(data, { context: 'x' })
    const reads: number[] = []
    const read = (start: number, end: number) => {
      reads.push(end - start)
      return new Blob([message]).slice(start, end).bytes()
    }
    for (const source of [message, new Blob([message]), { size: message.length, read }]) {
      const range = { start: CHUNK + 7, end: CHUNK + 77, context: 'x' }
      expect(await notes.decryptRange(source, range)).toEqual(data.slice(CHUNK + 7, CHUNK + 77))
    }
    expect(reads).toEqual([96, CHUNK + 16, 16])
    expect(await notes.decryptRange(message, { context: 'x' })).toEqual(data)
    expect(await notes.decryptRange(message, { context: 'x', start: 5 })).toEqual(data.slice(5))
    await expectCode(notes.decryptRange(message, { start: 1 }), 'ERR_OPEN')
    await expectCode(
      notes.decryptRange(message, { context: 'x', minVersion: 3 }),
      'ERR_KEY_VERSION',
    )
    await expectCode(notes.decryptRange(utf8('no message')), 'ERR_MALFORMED')
  })
})

describe('what to encrypt again', () => {
  it('is known without the network: what is under a version before the newest', async () => {
    const { relay, client, notes } = await openNotes()
    const message = await notes.encrypt('x')
    expect(notes.needsRewrap(message)).toBe(false)
    const [ring] = relay.keyrings
    ring!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
    ring!.number++
    await relay.publish()
    expect(notes.needsRewrap(message)).toBe(false)
    await client.refresh()
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    expect(notes.needsRewrap(message.subarray(0, 40))).toBe(true)
    const again = await notes.encrypt(await notes.decrypt(message))
    expect(notes.needsRewrap(again)).toBe(false)
    expect([again, message].filter((one) => notes.needsRewrap(one))).toEqual([message])
  })

  it('is not known of what is no message, or of another keyring, or after the end', async () => {
    const { client, notes } = await openNotes()
    const message = await notes.encrypt('x')
    for (const none of [utf8('text'), message.subarray(0, 39)])
      expect(() => notes.needsRewrap(none)).toThrow(
        expect.objectContaining({ code: 'ERR_MALFORMED' }) as Error,
      )
    const other = concat(message.subarray(0, 8), new Uint8Array(32))
    await expectCode(() => notes.needsRewrap(other), 'ERR_UNKNOWN_KEY')
    client.close()
    await expectCode(() => notes.needsRewrap(message), 'ERR_CLOSED')
  })

  it('a message is told from other bytes', async () => {
    const { notes } = await openNotes()
    expect(isMessage(await notes.encrypt('x'))).toBe(true)
    expect(isMessage(utf8('KFRYMSG'))).toBe(false)
  })
})
