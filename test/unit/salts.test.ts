// Every message has a salt of its own, and with it a key of its own: no nonce is ever used twice under one key (docs/PROTOCOL.md, "Messages").
import { expect, it } from 'vitest'
import { hex } from '../../shared/bytes.ts'
import { MESSAGE_HEADER_LENGTH, MESSAGE_PREFIX_LENGTH } from '../../shared/message.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'

it('the same text in the same context has a new salt and a new commitment every time', async () => {
  const notes = await (await openClient(await ClientRelay.start())).keyring('notes')
  const messages = await Promise.all(Array.from({ length: 1_000 }, () => notes.encrypt('x')))
  const salts = messages.map((one) =>
    hex(one.subarray(MESSAGE_HEADER_LENGTH, MESSAGE_HEADER_LENGTH + 24)),
  )
  const commitments = messages.map((one) =>
    hex(one.subarray(MESSAGE_HEADER_LENGTH + 24, MESSAGE_PREFIX_LENGTH)),
  )
  const bodies = messages.map((one) => hex(one.subarray(MESSAGE_PREFIX_LENGTH)))
  expect([salts, commitments, bodies].map((all) => new Set(all).size)).toEqual([
    1_000, 1_000, 1_000,
  ])
})

it('so has every stream', async () => {
  const notes = await (await openClient(await ClientRelay.start())).keyring('notes')
  const heads = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const stream = new Blob(['x']).stream().pipeThrough(notes.encryptStream())
      return hex(new Uint8Array(await new Response(stream).arrayBuffer()).subarray(40, 64))
    }),
  )
  expect(new Set(heads).size).toBe(20)
})
