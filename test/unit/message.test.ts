// Messages and their streams: whatever is changed in a message is found, and streams stay in bounds.
import * as fc from 'fast-check'
import { onTestFinished, afterEach, describe, expect, test, vi } from 'vitest'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { CHUNKS_IN_FLIGHT, deriveChunkStep } from '../../shared/chunk.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { createDecryptStream, createEncryptStream } from '../../shared/message-stream.ts'
import {
  MESSAGE_HEADER_LENGTH,
  MESSAGE_OVERHEAD,
  MESSAGE_PREFIX_LENGTH,
  decryptMessage,
  encryptMessage,
  isMessage,
  messageLength,
  parseMessageHeader,
  startMessage,
} from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { hasWebCrypto } from '../lib/platform.ts'
import { useWebCryptoAlone } from '../lib/web-crypto.ts'

const CHUNK = 16384
const SEALED = CHUNK + 16
const importKey = (byte: number, length = 32, hash = 'SHA-512') =>
  subtle().importKey('raw', new Uint8Array(length).fill(byte), { name: 'HMAC', hash }, false, [
    'sign',
  ])
const key = await importKey(1)
const keyId = new Uint8Array(32).fill(2)
const salt = new Uint8Array(24).fill(3)
const context = utf8('order/17')
const bytes = (length: number, seed = 5) =>
  Uint8Array.from({ length }, (_, i) => (i * seed + (i >> 8) * 11) & 0xff)
const chunk = (message: Bytes, i: number) =>
  message.subarray(MESSAGE_PREFIX_LENGTH + i * SEALED, MESSAGE_PREFIX_LENGTH + (i + 1) * SEALED)
const prefixOf = (message: Bytes) => message.subarray(0, MESSAGE_PREFIX_LENGTH)

/** A stream of pieces that are cut at the given offsets; two equal offsets make an empty piece. */
function cut(input: Bytes, offsets: readonly number[]): ReadableStream<Bytes> {
  const at = [0, ...offsets, input.length].toSorted((a, b) => a - b)
  let i = 0
  return new ReadableStream<Bytes>({
    pull(controller) {
      if (i + 1 === at.length) controller.close()
      else controller.enqueue(input.slice(at[i], at[++i]))
    },
  })
}

/** What comes out of a stream, and the error it ends with. */
async function drain(stream: ReadableStream<Bytes>): Promise<{ output: Bytes; error?: unknown }> {
  const parts: Bytes[] = []
  try {
    for await (const part of stream) parts.push(part)
  } catch (error) {
    return { output: concat(...parts), error }
  }
  return { output: concat(...parts) }
}

const decryptStream = (message: Bytes, offsets: readonly number[] = []) =>
  drain(cut(message, offsets).pipeThrough(createDecryptStream(context, () => Promise.resolve(key))))

/** Both forms of decryption refuse with this code and the one message that belongs to it. */
async function expectRefused(message: Bytes, code: ErrorCode): Promise<void> {
  const once = await decryptMessage(key, message, context).catch((error: unknown) => error)
  const { error } = await decryptStream(message, [Math.floor(message.length / 2)])
  for (const each of [once, error]) {
    expect(each).toMatchObject({ name: 'KeyferryError', code })
    expect(each).not.toHaveProperty('cause')
  }
  expect((once as Error).message).toBe((error as Error).message)
}

afterEach(() => vi.restoreAllMocks())

describe('header and length', () => {
  test('names the key and nothing else', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(3))
    expect(parseMessageHeader(message)).toEqual({ keyId, isSigned: false })
    expect(parseMessageHeader(message.subarray(0, MESSAGE_HEADER_LENGTH))).toEqual({
      keyId,
      isSigned: false,
    })
    expect(isMessage(message)).toBe(true)
    expect(isMessage(message.subarray(0, 8))).toBe(true)
    expect(isMessage(message.subarray(0, 7))).toBe(false)
    expect(isMessage(utf8('KFRYMSG\x02'))).toBe(true)
    expect(isMessage(utf8('KFRYMSG\x03'))).toBe(false)
    expect(isMessage(utf8('KFRYMSG\x00'))).toBe(false)
    expect(isMessage(utf8('KFRYMSH\x01'))).toBe(false)
    for (const length of [0, 7, 8, 39]) {
      expect(() => parseMessageHeader(message.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'ERR_MALFORMED' }),
      )
    }
  })

  test('lengths are known before', () => {
    expect(messageLength(0)).toBe(MESSAGE_OVERHEAD)
    expect(messageLength(CHUNK - 1)).toBe(CHUNK - 1 + 112)
    expect(messageLength(CHUNK)).toBe(CHUNK + 128)
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 46]) {
      expect(() => messageLength(bad)).toThrow(RangeError)
    }
  })

  test('misuse is a RangeError or TypeError', async () => {
    const none = new Uint8Array(0)
    const [shortId, shortSalt] = [keyId.subarray(1), salt.subarray(1)]
    await expect(encryptMessage(key, shortId, none, salt, none)).rejects.toThrow(RangeError)
    await expect(encryptMessage(key, keyId, none, shortSalt, none)).rejects.toThrow(RangeError)
    const stream = createEncryptStream(key, keyId, none, shortSalt)
    expect((await drain(cut(none, []).pipeThrough(stream))).error).toBeInstanceOf(RangeError)
    const message = await encryptMessage(key, keyId, none, salt, none)
    for (const wrong of [await importKey(1, 64), await importKey(1, 32, 'SHA-256')]) {
      await expect(encryptMessage(wrong, keyId, none, salt, none)).rejects.toThrow(TypeError)
      await expect(decryptMessage(wrong, message, none)).rejects.toThrow(TypeError)
    }
  })
})

describe('a changed message is refused', () => {
  test('each byte changed', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(20))
    for (let i = 0; i < message.length; i++) {
      for (const flip of [1, 0x80]) {
        const changed = message.slice()
        changed[i]! ^= flip
        await expectRefused(changed, i < 8 ? 'ERR_MALFORMED' : 'ERR_OPEN')
      }
    }
  })

  test('each truncation, and extensions', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(20))
    for (let length = 0; length < message.length; length++) {
      await expectRefused(
        message.subarray(0, length),
        length < MESSAGE_HEADER_LENGTH ? 'ERR_MALFORMED' : 'ERR_OPEN',
      )
    }
    for (const more of [1, 15, 16, 17, CHUNK, SEALED, 2 * SEALED]) {
      await expectRefused(concat(message, new Uint8Array(more)), 'ERR_OPEN')
    }
  })

  test('truncation of three chunks at and round every boundary', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(2 * CHUNK + 5))
    for (const boundary of [0, SEALED, 2 * SEALED, 2 * SEALED + 16]) {
      for (const off of [-1, 0, 1, 15, 16, 17]) {
        const length = MESSAGE_PREFIX_LENGTH + boundary + off
        if (length < message.length) await expectRefused(message.subarray(0, length), 'ERR_OPEN')
      }
    }
  })

  test('wrong context, wrong key', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(20))
    const refused = { name: 'KeyferryError', code: 'ERR_OPEN' }
    for (const other of ['', 'order/1', 'order/18', 'order/17\0']) {
      await expect(decryptMessage(key, message, utf8(other))).rejects.toMatchObject(refused)
    }
    const wrong = await importKey(9)
    await expect(decryptMessage(wrong, message, context)).rejects.toMatchObject(refused)
  })

  test('the border between key id and context is fixed', async () => {
    const message = await encryptMessage(
      key,
      keyId,
      concat(Uint8Array.of(7), context),
      salt,
      bytes(5),
    )
    const moved = message.slice()
    moved.copyWithin(8, 9, MESSAGE_HEADER_LENGTH)
    moved[39] = 7
    await expectRefused(moved, 'ERR_OPEN')
  })

  test('chunks swapped, dropped, repeated, appended, spliced', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(3 * CHUNK + 9))
    const otherSalt = new Uint8Array(24).fill(4)
    const other = await encryptMessage(key, keyId, context, otherSalt, bytes(3 * CHUNK + 9, 3))
    const [c0, c1, c2, last] = [0, 1, 2, 3].map((i) => chunk(message, i)) as [Bytes, ...Bytes[]]
    const head = prefixOf(message)
    const changed = {
      swapped: concat(head, c1!, c0, c2!, last!),
      firstDropped: concat(head, c1!, c2!, last!),
      middleDropped: concat(head, c0, c2!, last!),
      lastDropped: concat(head, c0, c1!, c2!),
      repeated: concat(head, c0, c0, c1!, c2!, last!),
      lastTwice: concat(message, last!),
      fullAppended: concat(head, c0, c1!, c2!, c2!, last!),
      otherChunk: concat(head, c0, chunk(other, 1), c2!, last!),
      otherEnd: concat(head, c0, c1!, c2!, chunk(other, 3)),
      otherBody: concat(head, other.subarray(MESSAGE_PREFIX_LENGTH)),
      otherPrefix: concat(prefixOf(other), message.subarray(MESSAGE_PREFIX_LENGTH)),
      otherSalt: concat(head.subarray(0, 40), other.subarray(40, 64), message.subarray(64)),
      both: concat(message, other),
    }
    for (const each of Object.values(changed)) await expectRefused(each, 'ERR_OPEN')
  })

  test('a last chunk of full or more length, made with the right key', async () => {
    const { prefix: begun, step } = await startMessage(key, keyId, context, salt)
    const prefix = await begun
    const full = await step(bytes(CHUNK), 0)
    await expectRefused(concat(prefix, full), 'ERR_OPEN')
    await expectRefused(concat(prefix, await step(bytes(CHUNK + 1), 0)), 'ERR_OPEN')
    const short = concat(prefix, await step(bytes(CHUNK - 1), 0), await step(bytes(9), 1))
    await expectRefused(short, 'ERR_OPEN')
    const whole = concat(prefix, full, await step(bytes(0), 1))
    expect(await decryptMessage(key, whole, context)).toEqual(bytes(CHUNK))
  })

  test('no chunk is opened before the commitment matches', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(20))
    message[64]! ^= 1
    // By WebCrypto, whose calls can be counted.
    vi.stubGlobal('navigator', undefined)
    onTestFinished(() => void vi.unstubAllGlobals())
    const decrypt = vi.spyOn(subtle(), 'decrypt')
    await expectRefused(message, 'ERR_OPEN')
    expect(decrypt).not.toHaveBeenCalled()
    message[64]! ^= 1
    await decryptMessage(key, message, context)
    expect(decrypt).toHaveBeenCalledOnce()
  })

  test('chunk numbers end at 2^32', async () => {
    const { step: seal } = await deriveChunkStep('encrypt', key, salt, context)
    const { step: open } = await deriveChunkStep('decrypt', key, salt, context)
    const last = await seal(bytes(5), 2 ** 32 - 1)
    expect(await open(last, 2 ** 32 - 1)).toEqual(bytes(5))
    expect(await seal(bytes(5), 2 ** 31 - 1)).not.toEqual(last)
    await expect(seal(bytes(5), 2 ** 32)).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' })
    await expect(open(last, 2 ** 32)).rejects.toMatchObject({ code: 'ERR_OPEN' })
  })
})

describe('streams', () => {
  test('nothing of nothing is no piece', async () => {
    const pieces: Bytes[] = []
    const message = await encryptMessage(key, keyId, context, salt, bytes(0))
    const open = createDecryptStream(context, () => Promise.resolve(key))
    for await (const piece of cut(message, []).pipeThrough(open)) pieces.push(piece)
    expect(pieces).toEqual([])
  })

  test('nothing of a bad chunk or behind it comes out', async () => {
    const plaintext = bytes(40 * CHUNK)
    const message = await encryptMessage(key, keyId, context, salt, plaintext)
    for (const bad of [0, 1, 20, 40]) {
      const changed = message.slice()
      changed[MESSAGE_PREFIX_LENGTH + bad * SEALED + 3]! ^= 1
      const { output, error } = await decryptStream(changed, [1000, 20_000, 100_000])
      expect(isKeyferryError(error, 'ERR_OPEN')).toBe(true)
      expect(output.length).toBeLessThanOrEqual(bad * CHUNK)
      expect(output).toEqual(plaintext.subarray(0, output.length))
    }
  })

  test('the error of findKey comes out as it is, on both sides', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(20))
    const unknown = new Error('unknown key')
    const stream = createDecryptStream(context, () => Promise.reject(unknown))
    const reading = drain(stream.readable)
    const writer = stream.writable.getWriter()
    await expect(writer.write(message)).rejects.toBe(unknown)
    await expect(writer.closed).rejects.toBe(unknown)
    expect(await reading).toEqual({ output: bytes(0), error: unknown })
  })

  // Nothing of noble runs beside anything else.
  test.runIf(hasWebCrypto)(
    'without a reader only a few chunks are made, then many at once and no more',
    async () => {
      let [running, most, calls] = [0, 0, 0]
      const platform = useWebCryptoAlone()
      const original = platform.encrypt.bind(platform)
      vi.spyOn(platform, 'encrypt').mockImplementation(async (...args) => {
        calls++
        most = Math.max(most, ++running)
        const out = await original(...args)
        running--
        return out
      })
      const { readable, writable } = createEncryptStream(key, keyId, context, salt)
      const plaintext = bytes(100 * CHUNK + 1)
      const writer = writable.getWriter()
      const written = writer.write(plaintext).then(() => writer.close())
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(calls).toBeLessThanOrEqual(CHUNKS_IN_FLIGHT)
      const { output } = await drain(readable)
      await written
      expect(most).toBeGreaterThan(4)
      expect(most).toBeLessThanOrEqual(CHUNKS_IN_FLIGHT)
      expect(calls).toBe(101)
      vi.restoreAllMocks()
      expect(output).toEqual(await encryptMessage(key, keyId, context, salt, plaintext))
    },
  )

  test('a finished chunk comes out without waiting for more input', async () => {
    const message = await encryptMessage(key, keyId, context, salt, bytes(CHUNK + 5))
    const stream = createDecryptStream(context, () => Promise.resolve(key))
    const writer = stream.writable.getWriter()
    const reader = stream.readable.getReader()
    await writer.write(message.subarray(0, MESSAGE_PREFIX_LENGTH + SEALED))
    expect((await reader.read()).value).toEqual(bytes(CHUNK))
    await writer.write(message.subarray(MESSAGE_PREFIX_LENGTH + SEALED))
    const [rest] = await Promise.all([reader.read(), writer.close()])
    expect(rest.value).toEqual(bytes(CHUNK + 5).subarray(CHUNK))
    expect((await reader.read()).done).toBe(true)
  })
})

describe('properties', () => {
  const numRuns = process.env['SLOW'] ? 1000 : 60
  const length = fc.oneof(
    fc.nat(100),
    fc.nat(80_000),
    fc.integer({ min: -2, max: 2 }).map((off) => 2 * CHUNK + off),
  )
  const offsets = fc.array(fc.nat(100_000), { maxLength: 12 })
  const arbitrary = fc.uint8Array({ maxLength: 300 }).map((b) => Uint8Array.from(b))

  test('round trip; stream and one-shot give the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(length, arbitrary, offsets, offsets, async (n, ctx, splits, others) => {
        const plaintext = bytes(n)
        const message = await encryptMessage(key, keyId, ctx, salt, plaintext)
        expect(message.length).toBe(messageLength(n))
        expect(await decryptMessage(key, message, ctx)).toEqual(plaintext)
        const within = (list: number[], end: number) => list.map((at) => Math.min(at, end))
        const encrypt = createEncryptStream(key, keyId, ctx, salt)
        const sealed = await drain(cut(plaintext, within(splits, n)).pipeThrough(encrypt))
        expect(sealed).toEqual({ output: message })
        const decrypt = createDecryptStream(ctx, () => Promise.resolve(key))
        const opened = cut(message, within(others, message.length)).pipeThrough(decrypt)
        expect(await drain(opened)).toEqual({ output: plaintext })
      }),
      { numRuns },
    )
  })

  test('arbitrary bytes only ever give a KeyferryError', async () => {
    const good = await encryptMessage(key, keyId, context, salt, bytes(CHUNK + 20))
    const nearly = fc
      .tuple(fc.nat(good.length), arbitrary)
      .map(([at, tail]) => concat(good.subarray(0, at), tail))
      .filter((message) => message.length !== good.length)
    await fc.assert(
      fc.asyncProperty(fc.oneof(arbitrary, nearly), offsets, async (message, splits) => {
        const once = await decryptMessage(key, message, context).catch((error: unknown) => error)
        const at = splits.map((offset) => Math.min(offset, message.length))
        const { error } = await decryptStream(message, at)
        expect(isKeyferryError(once)).toBe(true)
        expect(error).toMatchObject({ code: (once as { code: string }).code })
      }),
      { numRuns: 5 * numRuns },
    )
  })
})
