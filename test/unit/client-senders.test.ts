// Signing, and verifying who signed, through a whole client: detached, inside messages, as streams.
import { describe, expect, it } from 'vitest'
import { concat, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { keyId } from '../../shared/signature.ts'
import { type Sender } from '../../web/index.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { issueSigner, uriOf } from '../lib/world.ts'

async function openTwo() {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const identity = async (name: string) =>
    issueSigner(relay.world.cas.client, uriOf('client', name), relay.now)
  const [kim, lee] = [await identity('kim'), await identity('lee')]
  const one = await openClient(relay, { identity: kim })
  const other = await openClient(relay, { identity: lee })
  const [ours, theirs] = [await one.keyring('notes'), await other.keyring('notes')]
  await one.refresh()
  return { relay, kim, lee, one, other, ours, theirs }
}
const whole = async (stream: ReadableStream<Uint8Array>): Promise<Bytes> =>
  new Response(stream as ReadableStream<Bytes>).bytes()

describe('smoke', () => {
  it('works', async () => {
    const { ours, theirs, kim, relay } = await openTwo()
    const signature = await ours.sign('hello', { context: 'x' })
    console.log(signature.length)
    const expected = {
      uri: uriOf('client', 'kim'),
      device: hex(await keyId(kim.key.spki)),
      signedAt: relay.now,
      status: 'current',
    }
    expect(await theirs.verify(signature, 'hello', { context: 'x' })).toEqual(expected)
    const senders: Sender[] = []
    const onSender = (s: Sender) => void senders.push(s)
    const message = await ours.encrypt('Hi', { context: 'x', sign: true })
    console.log(message.length)
    expect(await theirs.decrypt(message, { context: 'x', as: 'text', from: true, onSender })).toBe(
      'Hi',
    )
    expect(senders).toEqual([expected])
    const data = crypto.getRandomValues(new Uint8Array(60_000))
    const m2 = await whole(ours.encryptStream(data, { sign: true }))
    expect(await theirs.decrypt(m2, { from: uriOf('client', '*'), onSender })).toEqual(data)
    expect(
      await whole(theirs.decryptStream(m2, { from: uriOf('client', 'kim'), onSender })),
    ).toEqual(data)
    expect(senders.length).toBe(3)
    expect(await theirs.decryptRange(m2, { start: 5, end: 40_000 })).toEqual(data.slice(5, 40_000))
    expect(await theirs.decryptRange(m2)).toEqual(data)
    void [concat, utf8]
  })
})
