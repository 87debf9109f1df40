// Streams of messages at their ends: a reader that goes away, and parameters that are wrong before anybody writes.
import { expect, it } from 'vitest'
import { createEncryptStream } from '../../shared/message-stream.ts'
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

it('a key of another kind fails the stream at once, for the reader too, although nobody writes', async () => {
  const { readable } = await make('SHA-256')
  await expect(readable.getReader().read()).rejects.toThrow(TypeError)
})
