// What stands around the data inside a signed message: whole, as a stream, as a range. docs/PROTOCOL.md, "Sender signatures".
import { beforeAll, describe, expect, it } from 'vitest'
import { concat, u16, u64, utf8, type Bytes } from '../../shared/bytes.ts'
import { CHUNK_LENGTH } from '../../shared/chunk.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { createFrameStream } from '../../shared/frame-stream.ts'
import { sha256 } from '../../shared/hash.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import { decryptMessageRange, type MessageSource } from '../../shared/message-range.ts'
import { createDecryptStream, createStartedStream } from '../../shared/message-stream.ts'
import {
  decryptMessage,
  MESSAGE_PREFIX_LENGTH,
  parseMessageHeader,
  startMessage,
} from '../../shared/message.ts'
import {
  openClaim,
  signMessage,
  type Claim,
  type ClaimedSender,
  type Sender,
  type SenderContext,
} from '../../shared/sender.ts'
import {
  boundOf,
  claimLength,
  createFrameReader,
  createFrameWriter,
  decodeClaim,
  encodeClaim,
  openFrame,
  SIGNATURE_LENGTH,
} from '../../shared/signed-message.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import {
  claimOf,
  CONTEXT,
  DATA,
  KEY_ID,
  makeFrame,
  makeSigned,
  messageKey,
  messageStatement,
  SALT,
  senderContext,
} from '../lib/fixtures-senders.ts'
import { makeIdentity, makeTenant, NOW, type Identity, type Tenant } from '../lib/fixtures.ts'

const SECRET = seeded('secret')
let tenant: Tenant
let alice: Identity
let context: SenderContext
let key: CryptoKey

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeIdentity(tenant.clients, 'client', 'alice')
  context = await senderContext(tenant)
  key = await messageKey(tenant, SECRET)
})

const open = (claim: Claim): Promise<ClaimedSender> => {
  const { content: _, ...statement } = messageStatement(tenant)
  return openClaim(claim, statement, context)
}
const refuse = (code: ErrorCode) => (): Promise<ClaimedSender> => Promise.reject(errorOf(code))
const streamOf = (bytes: Bytes, size: number): ReadableStream<Bytes> => {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + size))
      at += size
    },
  })
}
const whole = async (stream: ReadableStream<Bytes>): Promise<Bytes> => new Response(stream).bytes()
const large = (length: number): Bytes => Uint8Array.from({ length }, (_, i) => i * 7)

describe('the claim', () => {
  it('is read as it was written', () => {
    const claim = { certificates: [seeded('one', 300), seeded('two', 7)], signedAt: NOW }
    const encoded = encodeClaim(claim)
    expect(encoded.length).toBe(2 + 8 + 302 + 9)
    expect(claimLength(encoded)).toBe(encoded.length)
    expect(decodeClaim(concat(encoded, DATA))).toEqual(claim)
  })

  it('[sign-7] certificates that leave no room in the first chunk are ERR_TOO_LARGE', async () => {
    const room = CHUNK_LENGTH - 2 - 8 - 2
    const claim = (length: number) => ({ certificates: [new Uint8Array(length)], signedAt: NOW })
    expect(encodeClaim(claim(room)).length).toBe(CHUNK_LENGTH)
    await expectCode(() => encodeClaim(claim(room + 1)), 'ERR_TOO_LARGE')
  })

  it('[sign-7] lengths that do not fit, and no or five certificates, are ERR_MALFORMED', async () => {
    const time = u64(NOW)
    const framed = (...parts: Bytes[]) => concat(u16(concat(...parts).length), ...parts)
    const one = lengthPrefixed(DATA)
    expect(decodeClaim(framed(time, one, one, one, one)).certificates).toHaveLength(4)
    for (const bad of [
      new Uint8Array(),
      u16(0).slice(1),
      framed(),
      framed(time.slice(1)),
      framed(time),
      framed(time, one, one, one, one, one),
      framed(time, one.slice(0, -1)),
      framed(time, one, Uint8Array.of(0)),
      framed(time, one).slice(0, -1),
      framed(u64(2 ** 53 - 1).with(0, 1), one),
      // More than the first chunk holds: a stream could not read it either.
      concat(framed(time, lengthPrefixed(new Uint8Array(17_000))), DATA),
    ])
      await expectCode(() => decodeClaim(bad), 'ERR_MALFORMED')
  })

  it('binds key id and salt of the message', async () => {
    const message = await makeSigned(tenant, SECRET, await makeFrame(tenant, alice))
    expect(boundOf(message.subarray(0, MESSAGE_PREFIX_LENGTH))).toEqual({ key: KEY_ID, salt: SALT })
  })
})

describe('a whole plaintext', () => {
  it('gives data and sender', async () => {
    for (const data of [DATA, new Uint8Array(), large(100_000)]) {
      const opened = await openFrame(await makeFrame(tenant, alice, data), open)
      expect(opened.data).toEqual(data)
      expect(opened.sender).toMatchObject({ uri: alice.uri, status: 'current' })
    }
  })

  it('[sign-7] without room for a signature is ERR_MALFORMED, before anybody is asked', async () => {
    const claim = encodeClaim(claimOf(alice))
    const frame = await makeFrame(tenant, alice, new Uint8Array())
    expect(frame.length).toBe(claim.length + SIGNATURE_LENGTH)
    for (let end = 0; end < frame.length; end += end < 2 ? 1 : 13)
      await expectCode(openFrame(frame.slice(0, end), refuse('ERR_INTERNAL')), 'ERR_MALFORMED')
    await expectCode(openFrame(frame.slice(0, -1), refuse('ERR_INTERNAL')), 'ERR_MALFORMED')
  })

  it('[sign-8] with data that were changed is ERR_SIGNATURE', async () => {
    const frame = await makeFrame(tenant, alice)
    const at = frame.length - SIGNATURE_LENGTH - 1
    await expectCode(openFrame(frame.with(at, frame[at]! ^ 1), open), 'ERR_SIGNATURE')
    const longer = concat(frame.subarray(0, at), utf8('x'), frame.subarray(at))
    await expectCode(openFrame(longer, open), 'ERR_SIGNATURE')
  })
})

describe('chunk by chunk', () => {
  const read = async (frame: Bytes, size: number, opener = open) => {
    const reader = createFrameReader(opener)
    const claim = claimLength(frame)
    const parts: Bytes[] = [await reader.take(frame.subarray(0, claim))]
    for (let at = claim; at < frame.length; at += size)
      parts.push(await reader.take(frame.subarray(at, at + size)))
    return { data: concat(...parts), sender: await reader.end() }
  }

  it('gives the same as whole, however it is cut', async () => {
    for (const length of [0, 1, 63, 64, 65, 1_000]) {
      const frame = await makeFrame(tenant, alice, large(length))
      for (const size of [1, 7, 63, 64, 65, 5_000])
        expect(await read(frame, size)).toEqual(await openFrame(frame, open))
    }
  })

  it('gives no byte that may yet be the signature', async () => {
    const frame = await makeFrame(tenant, alice)
    const reader = createFrameReader(open)
    expect((await reader.take(frame.slice(0, -9))).length).toBe(0)
    const at = claimLength(frame)
    const all = createFrameReader(open)
    expect(await all.take(frame)).toEqual(frame.slice(at, -SIGNATURE_LENGTH))
  })

  it('[sign-7] [sign-8] cut off anywhere it fails at its end', async () => {
    const frame = await makeFrame(tenant, alice)
    const at = claimLength(frame)
    for (let end = at; end < frame.length; end++) {
      const isShort = end - at < SIGNATURE_LENGTH
      await expectCode(read(frame.slice(0, end), 10), isShort ? 'ERR_MALFORMED' : 'ERR_SIGNATURE')
    }
  })

  it('a sender that is refused gives no byte', async () => {
    const reader = createFrameReader(refuse('ERR_SENDER'))
    await expectCode(reader.take(await makeFrame(tenant, alice)), 'ERR_SENDER')
  })
})

describe('streams of messages', () => {
  const encrypt = (data: Bytes, size: number) => {
    const claim = claimOf(alice)
    const statement = messageStatement(tenant)
    const begun = Promise.resolve({
      claim: encodeClaim(claim),
      sign: (content: Bytes) => signMessage({ ...statement, content }, claim, alice.key),
    })
    const chunks = createStartedStream(startMessage(key, KEY_ID, CONTEXT, SALT, true))
    return whole(
      streamOf(data, size)
        .pipeThrough(createFrameStream(begun.then(createFrameWriter)))
        .pipeThrough(chunks),
    )
  }
  const decrypt = (message: Bytes, size: number, opener = open) => {
    const senders: (Sender | null)[] = []
    const stream = createDecryptStream(
      CONTEXT,
      () => Promise.resolve(key),
      (prefix) => {
        expect(prefix).toEqual(message.slice(0, MESSAGE_PREFIX_LENGTH))
        const reader = createFrameReader(opener)
        const end = async () => (senders.push(await reader.end()), null)
        return Promise.resolve({ take: reader.take, end })
      },
    )
    return { senders, readable: streamOf(message, size).pipeThrough(stream) }
  }

  it('make and read the same bytes as whole messages', async () => {
    for (const length of [0, 10, CHUNK_LENGTH, 50_000]) {
      const data = large(length)
      const message = await encrypt(data, 4_999)
      expect(message).toEqual(
        await makeSigned(tenant, SECRET, await makeFrame(tenant, alice, data)),
      )
      const { senders, readable } = decrypt(message, 777)
      expect(await whole(readable)).toEqual(data)
      expect(senders).toMatchObject([{ uri: alice.uri }])
    }
  })

  it('without a frame reader nothing is taken off', async () => {
    const frame = await makeFrame(tenant, alice)
    const message = await makeSigned(tenant, SECRET, frame)
    const stream = createDecryptStream(CONTEXT, () => Promise.resolve(key))
    expect(await whole(streamOf(message, 50).pipeThrough(stream))).toEqual(frame)
  })

  it('a sender that is refused is refused before the first byte', async () => {
    const message = await encrypt(large(50_000), 9_999)
    const { senders, readable } = decrypt(message, 20_000, refuse('ERR_SENDER'))
    await expectCode(readable.getReader().read(), 'ERR_SENDER')
    expect(senders).toEqual([])
  })

  it('[sign-8] a signature that does not verify fails the end, when the data are out', async () => {
    const data = large(50_000)
    const frame = await makeFrame(tenant, alice, data, { salt: seeded('another', 24) })
    const { senders, readable } = decrypt(await makeSigned(tenant, SECRET, frame), 9_999)
    const reader = readable.getReader()
    let seen = 0
    const drain = async () => {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        seen += value.length
      }
    }
    await expectCode(drain(), 'ERR_SIGNATURE')
    expect(seen).toBe(data.length)
    expect(senders).toEqual([])
  })

  it('pieces that are no bytes are refused, and what a signer fails with', async () => {
    const sign = () => Promise.resolve(utf8('s'))
    const begun = Promise.resolve({ claim: utf8('c'), sign })
    for (const piece of [
      'text',
      DATA.buffer,
      new DataView(DATA.buffer),
      Uint16Array.of(300),
      null,
    ]) {
      const pieces = new ReadableStream<Bytes>({
        start: (controller) => controller.enqueue(piece as never),
      })
      await expect(
        whole(pieces.pipeThrough(createFrameStream(begun.then(createFrameWriter)))),
      ).rejects.toThrow(TypeError)
    }
    const failed = createFrameStream(Promise.reject(errorOf('ERR_CERT_EXPIRED')))
    await expectCode(whole(streamOf(DATA, 1).pipeThrough(failed)), 'ERR_CERT_EXPIRED')
  })

  it('a piece that its owner changes afterwards was signed and encrypted as it was', async () => {
    // A slice of a Buffer is a view.
    const pieces = ['Buffer' in globalThis ? Buffer.from(DATA) : DATA.slice(), DATA.slice()]
    for (const own of pieces) {
      const digests: Bytes[] = []
      const sign = (content: Bytes) => (digests.push(content), Promise.resolve(utf8('s')))
      const framing = createFrameWriter({ claim: utf8('c'), sign })
      const stream = createFrameStream(Promise.resolve(framing))
      const writer = stream.writable.getWriter()
      // What comes out waits here until the owner has gone on.
      const waiting = new TransformStream<Bytes, Bytes>({}, undefined, { highWaterMark: 9 })
      const out = stream.readable.pipeThrough(waiting)
      await writer.write(own)
      own.fill(0)
      await writer.close()
      expect(await whole(out)).toEqual(concat(utf8('c'), DATA, utf8('s')))
      expect(digests).toEqual([sha256(DATA)])
    }
  })
})

describe('ranges', () => {
  const source = (message: Bytes, reads: [number, number][] = []): MessageSource => ({
    size: message.length,
    read: (start, end) => (reads.push([start, end]), message.subarray(start, end)),
  })
  const range = (message: Bytes, start: number, end: number, reads?: [number, number][]) =>
    decryptMessageRange(source(message, reads), CONTEXT, () => Promise.resolve(key), start, end)

  it('are of the data', async () => {
    for (const length of [0, 5, CHUNK_LENGTH - 700, CHUNK_LENGTH, 70_000]) {
      const data = large(length)
      const message = await makeSigned(tenant, SECRET, await makeFrame(tenant, alice, data))
      const ranges = [
        [0, Infinity],
        [0, 0],
        [0, 1],
        [3, 5],
        [length - 1, length],
        [length, length + 99],
        [CHUNK_LENGTH - 10, CHUNK_LENGTH + 10],
        [20_000, 60_000],
      ].filter(([start]) => start! >= 0) as [number, number][]
      for (const [start, end] of ranges)
        expect(await range(message, start, end)).toEqual(data.slice(start, end))
    }
  })

  it('read the first chunk, those of the range, and the last one', async () => {
    const message = await makeSigned(tenant, SECRET, await makeFrame(tenant, alice, large(90_000)))
    const reads: [number, number][] = []
    await range(message, 40_000, 40_001, reads)
    const at = (chunk: number) => MESSAGE_PREFIX_LENGTH + chunk * (CHUNK_LENGTH + 16)
    expect(reads).toEqual([
      [0, at(0)],
      [at(0), at(1)],
      [at(2), at(3)],
      [at(5), message.length],
    ])
  })

  it('[sign-7] without room for a signature are ERR_MALFORMED', async () => {
    const frame = await makeFrame(tenant, alice, new Uint8Array())
    await expectCode(
      range(await makeSigned(tenant, SECRET, frame.slice(0, -1)), 0, 1),
      'ERR_MALFORMED',
    )
    await expectCode(range(await makeSigned(tenant, SECRET, utf8('x')), 0, 1), 'ERR_MALFORMED')
    expect(await range(await makeSigned(tenant, SECRET, frame), 0, 1)).toEqual(new Uint8Array())
  })
})

it('[message-2] the form of the header is authenticated: a signature is not taken off, nor put on', async () => {
  const message = await makeSigned(tenant, SECRET, await makeFrame(tenant, alice))
  expect(parseMessageHeader(message).isSigned).toBe(true)
  const stripped = message.with(7, 1)
  expect(parseMessageHeader(stripped).isSigned).toBe(false)
  await expectCode(decryptMessage(key, stripped, CONTEXT), 'ERR_OPEN')
})
