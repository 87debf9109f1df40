// Ranges of messages: the same as a slice of the plaintext, out of the fewest chunks, and nothing of a message that was cut or mixed up.
import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { decryptMessageRange, type MessageSource } from '../../shared/message-range.ts'
import { MESSAGE_PREFIX_LENGTH, encryptMessage } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { sourceOf } from '../../web/data.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const CHUNK = 16384
const SEALED = CHUNK + 16
const importKey = (byte: number) =>
  subtle().importKey(
    'raw',
    new Uint8Array(32).fill(byte),
    { name: 'HMAC', hash: 'SHA-512' },
    false,
    ['sign'],
  )
const key = await importKey(1)
const keyId = new Uint8Array(32).fill(2)
const context = utf8('file/7')
const bytes = (length: number, seed = 5) =>
  Uint8Array.from({ length }, (_, i) => (i * seed + (i >> 8) * 11) & 0xff)
const seal = (plaintext: Bytes, salt = 3) =>
  encryptMessage(key, keyId, context, new Uint8Array(24).fill(salt), plaintext)
const open = (
  source: Bytes | MessageSource,
  start: number,
  end: number,
  own = key,
  ctx = context,
) =>
  decryptMessageRange(
    source instanceof Uint8Array ? sourceOf(source) : source,
    ctx,
    () => Promise.resolve(own),
    start,
    end,
  )
const at = (i: number) => MESSAGE_PREFIX_LENGTH + i * SEALED
const chunk = (message: Bytes, i: number) => message.subarray(at(i), at(i + 1))

const plaintext = bytes(3 * CHUNK + 9)
const message = await seal(plaintext)
const head = message.subarray(0, MESSAGE_PREFIX_LENGTH)
const [c0, c1, c2, last] = [0, 1, 2, 3].map((i) => chunk(message, i)) as [
  Bytes,
  Bytes,
  Bytes,
  Bytes,
]

/** A source that notes what is read of it. */
function watched(of: Bytes): MessageSource & { reads: [number, number][] } {
  const reads: [number, number][] = []
  const read = (start: number, end: number) => {
    reads.push([start, end])
    return Promise.resolve(of.subarray(start, end))
  }
  return { size: of.length, read, reads }
}

describe('what is read', () => {
  const end = message.length
  it.each([
    [
      'in one chunk',
      [CHUNK + 5, CHUNK + 6],
      [
        [at(1), at(2)],
        [at(3), end],
      ],
    ],
    [
      'a whole chunk',
      [CHUNK, 2 * CHUNK],
      [
        [at(1), at(2)],
        [at(3), end],
      ],
    ],
    [
      'over a border',
      [CHUNK - 1, CHUNK + 1],
      [
        [at(0), at(2)],
        [at(3), end],
      ],
    ],
    ['up to the last chunk', [2 * CHUNK + 1, 3 * CHUNK], [[at(2), end]]],
    ['into the last chunk', [3 * CHUNK - 1, 3 * CHUNK + 1], [[at(2), end]]],
    ['in the last chunk', [3 * CHUNK, Infinity], [[at(3), end]]],
    ['everything', [0, Infinity], [[at(0), end]]],
    ['nothing', [5, 5], [[at(3), end]]],
    ['nothing beyond the end', [2 ** 50, Infinity], [[at(3), end]]],
  ])('%s', async (_name, [start, stop], reads) => {
    const source = watched(message)
    expect(await open(source, start!, stop!)).toEqual(plaintext.slice(start, stop))
    expect(source.reads).toEqual([[0, MESSAGE_PREFIX_LENGTH], ...reads])
  })

  it('is no chunk before the commitment matches', async () => {
    const changed = message.slice()
    changed[70]! ^= 1
    const source = watched(changed)
    await expectCode(open(source, 0, 5), 'ERR_OPEN')
    expect(source.reads).toHaveLength(1)
  })
})

describe('what is refused', () => {
  const ranges = [
    [0, 5],
    [CHUNK - 1, CHUNK + 1],
    [2 * CHUNK, 3 * CHUNK],
    [5, 5],
    [2 ** 40, Infinity],
  ] as const

  it('[message-3] a message cut off anywhere, for each range', async () => {
    for (const border of [at(0), at(1), at(3), message.length]) {
      for (const off of [-1, 0, 1, 15, 16, 17]) {
        const cut = message.subarray(0, border + off)
        if (cut.length >= message.length) continue
        for (const [start, end] of ranges) await expectCode(open(cut, start, end), 'ERR_OPEN')
      }
    }
    for (const length of [0, 39]) {
      await expectCode(open(message.subarray(0, length), 0, 1), 'ERR_MALFORMED')
    }
  })

  it('[message-3] a message that goes on after its end, for each range', async () => {
    for (const more of [1, 16, 17, CHUNK, SEALED]) {
      const longer = concat(message, new Uint8Array(more))
      for (const [start, end] of ranges) await expectCode(open(longer, start, end), 'ERR_OPEN')
    }
    for (const longer of [concat(message, last), concat(head, c0, c1, c2, c2, last)]) {
      for (const [start, end] of ranges) await expectCode(open(longer, start, end), 'ERR_OPEN')
    }
  })

  it('[message-3] a last chunk of full length, made with the right key', async () => {
    // By the length of the message it is one that another must follow.
    const full = await seal(bytes(CHUNK))
    await expectCode(open(full.subarray(0, at(1)), 0, 5), 'ERR_OPEN')
    expect(await open(full, 0, 5)).toEqual(bytes(5))
  })

  it('[message-3] chunks that are swapped, repeated or of another message, where the range is', async () => {
    const other = await seal(bytes(3 * CHUNK + 9, 3), 4)
    const swapped = concat(head, c1, c0, c2, last)
    for (const start of [0, CHUNK]) await expectCode(open(swapped, start, start + 5), 'ERR_OPEN')
    await expectCode(open(concat(head, c0, c0, c2, last), CHUNK, CHUNK + 5), 'ERR_OPEN')
    await expectCode(
      open(concat(head, c0, chunk(other, 1), c2, last), CHUNK, CHUNK + 5),
      'ERR_OPEN',
    )
    // The end is of the whole, wherever the range is.
    await expectCode(open(concat(head, c0, c1, c2, chunk(other, 3)), 0, 5), 'ERR_OPEN')
    await expectCode(open(concat(other.subarray(0, at(0)), c0, c1, c2, last), 0, 5), 'ERR_OPEN')
  })

  it('is not what was not read: a range says nothing of it', async () => {
    expect(await open(concat(head, c1, c0, c2, last), 2 * CHUNK, 3 * CHUNK)).toEqual(
      plaintext.slice(2 * CHUNK, 3 * CHUNK),
    )
  })

  it('[message-3] another key or context', async () => {
    await expectCode(open(message, 0, 5, await importKey(9)), 'ERR_OPEN')
    await expectCode(open(message, 0, 5, key, utf8('file/8')), 'ERR_OPEN')
  })

  it('[message-3] a size that is not that of the message', async () => {
    const read = (start: number, end: number) => message.slice(start, end)
    for (const size of [message.length - 1, message.length - 25, at(3), at(2) + 25, at(1)])
      await expectCode(open({ size, read }, 0, 5), 'ERR_OPEN')
    await expectCode(open({ size: message.length + 1, read }, 0, 5), 'ERR_IO')
  })

  it('a source that gives more or fewer bytes than asked for', async () => {
    for (const off of [-1, 1]) {
      const read = (start: number, end: number) => message.slice(start, end + off)
      await expectCode(open({ size: message.length, read }, 0, 5), 'ERR_IO')
    }
  })

  it('what is no range or size is a RangeError, before anything is read', async () => {
    const read = vi.fn(() => new Uint8Array())
    const size = message.length
    for (const [start, end] of [
      [-1, 5],
      [0, -1],
      [6, 5],
      [0.5, 5],
      [0, 5.5],
      [Number.NaN, 5],
      [0, Number.NaN],
    ])
      await expect(open({ size, read }, start!, end!)).rejects.toThrow(RangeError)
    for (const bad of [-1, 0.5, Number.NaN, Infinity])
      await expect(open({ size: bad, read }, 0, 5)).rejects.toThrow(RangeError)
    expect(read).not.toHaveBeenCalled()
  })

  it('the errors of a source and of the search for the key come out as they are', async () => {
    const gone = new Error('gone')
    const read = () => Promise.reject(gone)
    await expect(open({ size: message.length, read }, 0, 5)).rejects.toBe(gone)
    const found = decryptMessageRange(sourceOf(message), context, () => Promise.reject(gone), 0, 5)
    await expect(found).rejects.toBe(gone)
  })
})

it('is the slice of the plaintext, for any length and range', async () => {
  const edge = fc
    .tuple(fc.nat(4), fc.integer({ min: -2, max: 2 }))
    .map(([chunks, off]) => Math.max(0, chunks * CHUNK + off))
  const place = fc.oneof(edge, fc.nat(70_000))
  await fc.assert(
    fc.asyncProperty(place, place, place, async (length, a, b) => {
      const whole = bytes(length)
      const [start, end] = [Math.min(a, b), Math.max(a, b)]
      expect(await open(await seal(whole), start, end)).toEqual(whole.slice(start, end))
    }),
    { numRuns: process.env['SLOW'] ? 2000 : 150 },
  )
})
