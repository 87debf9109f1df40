// What an app's developer may get wrong: it is refused with a TypeError, and nothing is lost, encrypted as something else or bound to nothing.
import { describe, expect, it } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { CSRF_HEADER } from '../../shared/enrol.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { makeBackend, newKey } from '../lib/enrolment.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeCa, random, seconds } from '../lib/world.ts'

const CHUNK = 16384

async function openNotes() {
  const relay = await ClientRelay.start()
  const client = await openClient(relay)
  return { relay, client, notes: await client.keyring('notes') }
}

const whole = async (stream: ReadableStream<Uint8Array>): Promise<Bytes> =>
  new Response(stream as ReadableStream<Bytes>).bytes()
const settle = () => new Promise((resolve) => setTimeout(resolve, 50))
const data = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(1_000))
const pieceOf = (piece: Uint8Array) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(piece)
      controller.close()
    },
  })

function giveAway(bytes: Uint8Array): void {
  structuredClone(null, { transfer: [bytes.buffer as ArrayBuffer] })
}

describe('what is no data, and no context', () => {
  const wrong = [17, 5n, false, null, new Date(), { id: 5 }, [1], new ArrayBuffer(8)] as never[]

  it('a context that is neither text nor bytes is refused: it would bind to nothing', async () => {
    const { notes } = await openNotes()
    const message = await notes.encrypt('x')
    const signature = await notes.sign('x')
    for (const context of [...wrong, new DataView(new ArrayBuffer(8)) as never]) {
      await expect(notes.encrypt('x', { context })).rejects.toThrow(TypeError)
      await expect(notes.decrypt(message, { context })).rejects.toThrow(TypeError)
      await expect(notes.decryptRange(message, { context })).rejects.toThrow(TypeError)
      await expect(notes.sign('x', { context })).rejects.toThrow(TypeError)
      await expect(notes.verify(signature, 'x', { context })).rejects.toThrow(TypeError)
      expect(() => notes.encryptStream('x', { context })).toThrow(TypeError)
      expect(() => notes.decryptStream(message, { context })).toThrow(TypeError)
    }
  })

  it('data of another kind are refused, not turned into other bytes', async () => {
    const { notes } = await openNotes()
    const others = [Float32Array.of(0.5, 300), Uint16Array.of(300), new DataView(data().buffer)]
    for (const given of [undefined, 5, null, ['a'], Object('hello'), ...others] as never[]) {
      await expect(notes.encrypt(given)).rejects.toThrow(TypeError)
      await expect(notes.sign(given)).rejects.toThrow(TypeError)
      expect(() => notes.encryptStream(given, { context: 'x' })).toThrow(TypeError)
      expect(() => notes.decryptStream(given, { context: 'x' })).toThrow(TypeError)
    }
    for (const given of [null, new DataView(data().buffer), new Uint16Array(4)] as never[]) {
      expect(() => notes.encryptStream(given)).toThrow(TypeError)
      expect(() => notes.decryptStream(given)).toThrow(TypeError)
    }
    // Options alone make a transform, whatever made them, and so does nothing at all.
    class Options {
      context = 'x'
    }
    for (const options of [undefined, {}, { context: 'x' }, new Options(), Object.create(null)]) {
      expect(notes.encryptStream(options)).toHaveProperty('writable')
      expect(notes.decryptStream(options)).toHaveProperty('writable')
    }
  })

  it('a file that brings its bytes in a way of its own is read that way', async () => {
    const { notes } = await openNotes()
    class LazyFile extends File {
      override async arrayBuffer(): Promise<ArrayBuffer> {
        return Uint8Array.of(1, 2, 3).buffer
      }
    }
    expect(await notes.decrypt(await notes.encrypt(new LazyFile([], 'x')))).toEqual(
      Uint8Array.of(1, 2, 3),
    )
  })

  it('a sender that is no URI is asked of nobody, and a least version that is no number is above all', async () => {
    const { notes } = await openNotes()
    const signed = await notes.encrypt('x', { sign: true })
    for (const from of [null, 5, [], {}] as never[])
      await expect(notes.decrypt(signed, { from })).rejects.toThrow(TypeError)
    for (const minVersion of [Number.NaN, 'x', {}] as never[])
      await expectCode(notes.decrypt(signed, { minVersion }), 'ERR_KEY_VERSION')
  })

  it('memory that can be resized is copied as a whole, and refused as a piece', async () => {
    const { notes } = await openNotes()
    const resizable = (length: number) =>
      new Uint8Array(new ArrayBuffer(length, { maxByteLength: 2 * length }))
    const whole50 = resizable(50_000)
    const message = await notes.encrypt(whole50)
    expect(await notes.decrypt(message)).toEqual(new Uint8Array(50_000))
    for (const stream of [
      notes.encryptStream(pieceOf(whole50)),
      notes.encryptStream(pieceOf(whole50), { sign: true }),
      notes.decryptStream(pieceOf(whole50)),
    ])
      await expect(whole(stream)).rejects.toThrow(TypeError)
    await expect(notes.sign(pieceOf(whole50))).rejects.toThrow(TypeError)
  })

  it('a signature of a stream leaves no piece out', async () => {
    const { notes } = await openNotes()
    const gone = data()
    giveAway(gone)
    for (const piece of [gone, new DataView(data().buffer), 'text'] as never[])
      await expect(notes.sign(pieceOf(piece))).rejects.toThrow(TypeError)
  })

  it('the newest version that was accepted stays known when a relay leaves the keyring out', async () => {
    const { relay, client, notes } = await openNotes()
    const old = await notes.encrypt('forged')
    relay.keyrings[0]!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
    relay.keyrings[0]!.number = 2
    await relay.publish()
    await client.refresh()
    relay.twist = (delivery) => ({ ...delivery, keyrings: [] })
    await relay.publish()
    await client.refresh()
    expect([notes.state, notes.version]).toEqual(['unproven', 3])
    await expectCode(notes.decrypt(old, { minVersion: notes.version }), 'ERR_KEY_VERSION')
  })
})

it('a keyring may be waited for without end', async () => {
  const { client } = await openNotes()
  for (const timeout of [Infinity, 2 ** 31, 1e12])
    expect((await client.keyring('notes', { timeout })).state).toBe('ready')
  const relay = await ClientRelay.start()
  relay.interfere = () => new Promise(() => {})
  const waiting = await openClient(relay)
  let isOver = false
  const ended = waiting.keyring('notes', { timeout: Infinity }).catch(() => (isOver = true))
  await settle()
  expect(isOver).toBe(false)
  waiting.close()
  await ended
})

it('a report of an enrolment that fails changes no answer', async () => {
  const report = (): never => {
    throw new Error('the log is full')
  }
  const now = seconds()
  const backend = makeBackend(await makeCa('client', now), now, { report })
  const key = await newKey()
  expect(await backend.post('kim', key)).toMatchObject({ status: 200, code: 'ok' })
  const headers = { [CSRF_HEADER]: 'x' }
  expect(await backend.post('kim', key, { headers })).toMatchObject({ status: 403 })
})

describe('memory that was given away', () => {
  it('memory that was given away is refused, not taken for an empty message or piece', async () => {
    const { notes } = await openNotes()
    const gone = data()
    giveAway(gone)
    await expect(notes.encrypt(gone)).rejects.toThrow(TypeError)
    await expect(notes.encrypt(gone.buffer)).rejects.toThrow(TypeError)
    for (const given of [gone, gone.buffer])
      expect(() => notes.encryptStream(given)).toThrow(TypeError)
    const given = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(gone)
          controller.close()
        },
      })
    for (const stream of [
      notes.encryptStream(given()),
      notes.encryptStream(given(), { sign: true }),
      notes.decryptStream(given()),
    ])
      await expect(whole(stream)).rejects.toThrow(TypeError)
  })

  it('a piece whose memory is given away before all of it was taken fails the stream', async () => {
    const { notes } = await openNotes()
    const piece = new Uint8Array(100 * CHUNK)
    const { readable, writable } = notes.encryptStream()
    const writing = writable.getWriter().write(piece)
    const reader = readable.getReader()
    // It goes only as fast as it is read.
    for (let i = 0; i < 2; i++) await reader.read()
    giveAway(piece)
    const drain = async () => {
      while (!(await reader.read()).done);
    }
    await expect(drain()).rejects.toThrow(TypeError)
    await expect(writing).rejects.toThrow(TypeError)
  })
})
