// Known answers for messages, made by message_reference.py, in every engine and both forms: at once and as a stream.
import { ctr } from '@noble/ciphers/aes.js'
import { expect, test } from 'vitest'
import { concat, fromHex, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { createDecryptStream, createEncryptStream } from '../../shared/message-stream.ts'
import { decryptMessageRange } from '../../shared/message-range.ts'
import { decryptMessage, encryptMessage, messageLength } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { sourceOf } from '../../web/data.ts'
import vectors from './message.json' with { type: 'json' }

const importKey = (raw: Bytes) =>
  subtle().importKey('raw', raw, { name: 'HMAC', hash: 'SHA-512' }, false, ['sign'])

const sha256 = async (bytes: Bytes) => new Uint8Array(await subtle().digest('SHA-256', bytes))

const pattern = (length: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13) & 0xff)

/** Writes `input` in pieces of `size` bytes from one buffer that is overwritten as soon as a write is done. */
async function run(
  stream: TransformStream<Bytes, Bytes>,
  input: Bytes,
  size: number,
): Promise<Bytes> {
  const write = async () => {
    const writer = stream.writable.getWriter()
    const piece = new Uint8Array(size)
    for (let at = 0; at < input.length; at += size) {
      const part = input.subarray(at, at + size)
      piece.set(part)
      await writer.write(piece.subarray(0, part.length))
      piece.fill(0xee)
    }
    await writer.close()
  }
  const read = async () => {
    const parts: Bytes[] = []
    const reader = stream.readable.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return concat(...parts)
      parts.push(value)
    }
  }
  const [output] = await Promise.all([read(), write()])
  return output
}

for (const vector of vectors.encrypt) {
  test(`encrypts ${vector.comment}`, async () => {
    const key = await importKey(fromHex(vector.key))
    const [keyId, context, salt] = [vector.keyId, vector.context, vector.salt].map(fromHex)
    const plaintext = pattern(vector.plaintextLength)
    const message = await encryptMessage(key, keyId!, context!, salt!, plaintext)
    expect(message.length).toBe(messageLength(plaintext.length))
    expect(hex(message.subarray(0, 96))).toBe(vector.prefix)
    expect(hex(message.subarray(-16))).toBe(vector.lastTag)
    expect(hex(await sha256(message))).toBe(vector.sha256)
    expect(hex(await decryptMessage(key, message, context!))).toBe(hex(plaintext))

    const find = () => Promise.resolve(key)
    const ends = [0, plaintext.length >> 1, Math.max(0, plaintext.length - 1), plaintext.length]
    for (const [i, start] of ends.entries()) {
      for (const end of ends.slice(i).filter((one) => one >= start)) {
        const source = sourceOf(new Blob([message]))
        const range = await decryptMessageRange(source, context!, find, start, end)
        expect(hex(range)).toBe(hex(plaintext.subarray(start, end)))
      }
    }

    const sizes = plaintext.length < 1000 ? [1, 7, 1000] : [1000, 16384, 16400, 1_000_000]
    for (const size of sizes) {
      const encrypt = createEncryptStream(key, keyId!, context!, salt!)
      expect(hex(await sha256(await run(encrypt, plaintext, size)))).toBe(vector.sha256)
      const decrypt = createDecryptStream(context!, async (id) => {
        expect(hex(id)).toBe(vector.keyId)
        return key
      })
      expect(hex(await run(decrypt, message, size))).toBe(hex(plaintext))
    }
  })
}

for (const vector of vectors.decrypt.messages) {
  test(`decrypts ${vector.comment}: ${vector.expect}`, async () => {
    const key = await importKey(fromHex(vectors.decrypt.key))
    const context = fromHex(vectors.decrypt.context)
    const message = fromHex(vector.message)
    const ways = [
      decryptMessage(key, message, context),
      run(
        createDecryptStream(context, () => Promise.resolve(key)),
        message,
        1,
      ),
      run(
        createDecryptStream(context, () => Promise.resolve(key)),
        message,
        1000,
      ),
      decryptMessageRange(sourceOf(message), context, () => Promise.resolve(key), 0, Infinity),
    ]
    for (const result of await Promise.allSettled(ways)) {
      if (result.status === 'fulfilled') {
        expect(vector.expect).toBe('ok')
        expect(hex(result.value)).toBe(hex(pattern(vectors.decrypt.plaintextLength)))
      } else {
        expect(result.reason).toMatchObject({ name: 'KeyferryError', code: vector.expect })
      }
    }
  })
}

test('encrypts many accumulated cases', async () => {
  const { seed, cases, sha256: expected } = vectors.accumulated
  const stream = ctr(await sha256(utf8(seed)), new Uint8Array(16))
  const random = stream.encrypt(new Uint8Array(8 * 1024 * 1024)) as Bytes
  let at = 0
  const take = (length: number) => random.subarray(at, (at += length))
  let digest: Bytes = new Uint8Array(32)
  for (let i = 0; i < cases; i++) {
    const [rawKey, keyId, salt] = [take(32), take(32), take(24)]
    const context = take(take(1)[0]!)
    const long = take(1)[0]! % 4 === 0
    const [high, low] = take(2)
    const length = high! * 256 + low!
    const plaintext = take(long ? length : length % 512)
    expect(at).toBeLessThan(random.length)
    const key = await importKey(rawKey)
    const message = await encryptMessage(key, keyId, context, salt, plaintext)
    digest = await sha256(concat(digest, message))
  }
  expect(hex(digest)).toBe(expected)
})

test('a stream stops when its reader cancels, and when its writer aborts under backpressure', async () => {
  const key = await importKey(new Uint8Array(32))
  const make = () =>
    createEncryptStream(key, new Uint8Array(32), new Uint8Array(0), new Uint8Array(24))
  const big = new Uint8Array(2 * 1024 * 1024)

  const cancelled = make()
  const writing = cancelled.writable.getWriter().write(big)
  const [, cancelResult] = await Promise.allSettled([
    cancelled.readable.cancel(new Error('enough')),
    writing,
  ])
  expect(cancelResult.status).toBe('rejected')

  const aborted = make()
  const writer = aborted.writable.getWriter()
  const blocked = writer.write(big)
  await new Promise((resolve) => setTimeout(resolve, 20))
  const [, abortResult] = await Promise.allSettled([writer.abort(new Error('gave up')), blocked])
  expect(abortResult.status).toBe('rejected')
  await expect(aborted.readable.getReader().read()).rejects.toThrow('gave up')
})
