// A client that signs, and one that verifies who signed: beside data, inside messages, as streams, with and without a relay.
import { describe, expect, it } from 'vitest'
import { hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { keyId } from '../../shared/signature.ts'
import { createMemoryStore, type DecryptOptions, type Sender } from '../../web/index.ts'
import { callOf } from '../lib/client-call.ts'
import { ClientRelay, openClient, stored } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { DAY, issueSigner, revoke, uriOf } from '../lib/world.ts'

const KIM = uriOf('client', 'kim')
const whole = async (stream: ReadableStream<Uint8Array>): Promise<Bytes> =>
  new Response(stream as ReadableStream<Bytes>).bytes()

/** Kim signs, and Lee verifies. */
async function openTwo() {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const identify = (name: string) =>
    issueSigner(relay.world.cas.client, uriOf('client', name), relay.now)
  const kim = await identify('kim')
  const store = createMemoryStore()
  const identity = await identify('lee')
  const notes = await (await openClient(relay, { identity: kim })).keyring('notes')
  const lee = await openClient(relay, { identity, store })
  const theirs = await lee.keyring('notes')
  await lee.refresh()
  const sender: Sender = {
    uri: KIM,
    device: hex(await keyId(kim.key.spki)),
    signedAt: relay.now,
    status: 'current',
  }
  /** Lee's answer to a message of Kim's, whole and as a stream, and whom it was told of. */
  const read = async (message: Bytes, options: DecryptOptions = {}) => {
    const told: Sender[] = []
    const onSender = (one: Sender): void => void told.push(one)
    const data = await theirs.decrypt(message, { ...options, onSender })
    const streamed = await whole(theirs.decryptStream(message, { ...options, onSender }))
    expect(streamed).toEqual(data)
    expect(told[1]).toEqual(told[0])
    return { data, sender: told[0] }
  }
  const refuses = async (code: ErrorCode, message: Bytes, options: DecryptOptions = {}) => {
    const onSender = (): void => expect.unreachable()
    await expectCode(theirs.decrypt(message, { ...options, onSender }), code)
    await expectCode(whole(theirs.decryptStream(message, { ...options, onSender })), code)
  }
  return { relay, kim, lee, store, identity, notes, theirs, sender, read, refuses }
}

describe('beside data', () => {
  it('a signature of data of any kind is verified by another member', async () => {
    const { notes, theirs, sender } = await openTwo()
    const data = utf8('Grüße')
    const kinds = () => [
      'Grüße',
      data,
      data.slice().buffer,
      new Blob([data]),
      new Blob([data]).stream(),
    ]
    for (const kind of kinds()) {
      const signature = await notes.sign(kind, { context: 'x' })
      for (const same of kinds())
        expect(await theirs.verify(signature, same, { context: utf8('x') })).toEqual(sender)
    }
    expect(await notes.verify(await notes.sign(data), data)).toEqual(sender)
  })

  it('of other data, in another context or keyring, by another sender, it is refused', async () => {
    const { notes, theirs, lee } = await openTwo()
    const signature = await notes.sign('Hello', { context: 'x' })
    await expectCode(theirs.verify(signature, 'Hello!', { context: 'x' }), 'ERR_HASH')
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_HASH')
    const orders = await lee.keyring('orders')
    await expectCode(orders.verify(signature, 'Hello', { context: 'x' }), 'ERR_KEYRING')
    const from = uriOf('client', 'lee')
    await expectCode(theirs.verify(signature, 'Hello', { context: 'x', from }), 'ERR_SENDER')
    expect(await theirs.verify(signature, 'Hello', { context: 'x', from: KIM })).toBeTruthy()
  })

  it('of another tenant it is refused', async () => {
    const [one, other] = [await openTwo(), await openTwo()]
    await expectCode(other.theirs.verify(await one.notes.sign('Hello'), 'Hello'), 'ERR_TENANT')
  })

  it('pieces that are no bytes are refused, and the signal stops it', async () => {
    const { notes } = await openTwo()
    for (const piece of ['text', new ArrayBuffer(8), Uint16Array.of(300)]) {
      const pieces = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(piece as never),
      })
      await expect(notes.sign(pieces)).rejects.toThrow(TypeError)
    }
    const reason = new Error('not any more')
    const signal = AbortSignal.abort(reason)
    const endless = () => new ReadableStream<Uint8Array>()
    await expect(notes.sign(endless(), { signal })).rejects.toBe(reason)
    const signature = await notes.sign('Hello')
    await expect(notes.verify(signature, endless(), { signal })).rejects.toBe(reason)
  })

  it('a closed client neither signs nor verifies', async () => {
    const { lee, theirs } = await openTwo()
    const signature = await theirs.sign('Hello')
    lee.close()
    await expectCode(theirs.sign('Hello'), 'ERR_CLOSED')
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_CLOSED')
  })
})

describe('inside a message', () => {
  const data = Uint8Array.from({ length: 50_000 }, (_, i) => i)

  it('says who, whole and as a stream', async () => {
    const { notes, read, sender } = await openTwo()
    const made = [
      await notes.encrypt(data, { context: 'x', sign: true }),
      await whole(notes.encryptStream(data, { context: 'x', sign: true })),
      await whole(
        new Blob([data])
          .stream()
          .pipeThrough(notes.encryptStream({ context: 'x', sign: true }) as TransformStream),
      ),
    ]
    for (const message of made)
      for (const from of [true, KIM, uriOf('client', '*')])
        expect(await read(message, { context: 'x', from })).toEqual({ data, sender })
  })

  it('is verified where nobody asks, and left alone where from is false', async () => {
    const { notes, read, sender } = await openTwo()
    const message = await notes.encrypt('Hello', { sign: true })
    expect(await read(message)).toEqual({ data: utf8('Hello'), sender })
    expect(await read(message, { from: false })).toEqual({ data: utf8('Hello'), sender: undefined })
  })

  it('nobody is told of, where nobody signed', async () => {
    const { notes, read } = await openTwo()
    for (const message of [
      await notes.encrypt('Hello'),
      await notes.encrypt('Hello', { sign: false }),
    ])
      for (const options of [{}, { from: false }])
        expect(await read(message, options)).toEqual({ data: utf8('Hello'), sender: undefined })
  })

  it('[sign-9] is asked for: a message without is ERR_UNSIGNED', async () => {
    const { notes, refuses } = await openTwo()
    const message = await notes.encrypt('Hello')
    for (const from of [true, KIM, '']) await refuses('ERR_UNSIGNED', message, { from })
    // Nothing is said of a header that is not authenticated.
    await refuses('ERR_OPEN', message, { from: true, context: 'another' })
    const signed = await notes.encrypt('Hello', { sign: true })
    await refuses('ERR_OPEN', signed.with(7, 1), { from: true })
    await refuses('ERR_OPEN', signed.with(7, 1))
  })

  it('[sign-5] is by whom the caller asks for, or ERR_SENDER', async () => {
    const { notes, refuses } = await openTwo()
    const message = await notes.encrypt('Hello', { sign: true })
    for (const from of [uriOf('client', 'lee'), uriOf('client', 'ki'), ''])
      await refuses('ERR_SENDER', message, { from })
  })

  it('hides the sender, and needs a rewrap as any message', async () => {
    const { notes, kim } = await openTwo()
    const message = await notes.encrypt('Hello', { sign: true })
    expect(hex(message)).not.toContain(hex(kim.certificates[0]!.slice(0, 100)))
    expect(notes.needsRewrap(message.slice(0, 40))).toBe(false)
  })

  it('is left out of ranges, which say nothing of senders', async () => {
    const { notes, theirs } = await openTwo()
    const message = await notes.encrypt(data, { sign: true })
    expect(await theirs.decryptRange(message, { start: 16_000, end: 17_000 })).toEqual(
      data.slice(16_000, 17_000),
    )
    for (const from of [true, KIM])
      await expectCode(theirs.decryptRange(message, { from } as object), 'ERR_UNSUPPORTED')
    expect(await theirs.decryptRange(message, { from: false } as object)).toEqual(data)
  })

  it('text that is no text is told of nobody', async () => {
    const { notes, theirs } = await openTwo()
    const message = await notes.encrypt(Uint8Array.of(0xff), { sign: true })
    const onSender = (): void => expect.unreachable()
    await expectCode(theirs.decrypt(message, { as: 'text', onSender }), 'ERR_MALFORMED')
  })

  it('nobody signs with a certificate that is over, or not yet valid', async () => {
    const { relay, notes } = await openTwo()
    const began = relay.now
    for (const now of [began + 31 * DAY, began - 4_000]) {
      const client = await openClient(relay)
      const own = await client.keyring('notes')
      relay.now = now
      await expectCode(own.sign('Hello'), 'ERR_CERT_EXPIRED')
      relay.now = began
    }
    // Under a fresh head, that is what stops encrypting too.
    const short = await issueSigner(relay.world.cas.client, KIM, began, { notAfter: began + 100 })
    const own = await (await openClient(relay, { identity: short })).keyring('notes')
    relay.now = began + 101
    await expectCode(own.encrypt('Hello', { sign: true }), 'ERR_CERT_EXPIRED')
    await expectCode(whole(own.encryptStream('Hello', { sign: true })), 'ERR_CERT_EXPIRED')
    expect(await notes.decrypt(await own.encrypt('Hello'), { as: 'text' })).toBe('Hello')
    relay.now = began + 100
    expect(await own.encrypt('Hello', { sign: true })).toBeTruthy()
  })
})

describe('what lists say', () => {
  const lists = (relay: ClientRelay) => relay.gets.length

  it('[sign-6] they are fetched once, and again when a head names others', async () => {
    const { relay, lee, notes, store, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    const message = await notes.encrypt('Hello', { sign: true })
    expect(lists(relay)).toBe(0)
    await theirs.verify(signature, 'Hello')
    await theirs.decrypt(message, { from: true })
    expect(lists(relay)).toBe(1)
    await relay.publish()
    await lee.refresh()
    await theirs.verify(signature, 'Hello')
    expect(lists(relay)).toBe(1)
    await revoke(
      relay.world.cas.client,
      await issueSigner(relay.world.cas.client, KIM, relay.now),
      relay.now,
    )
    await relay.publish()
    // Before they are needed, so that they are there without network.
    await lee.refresh()
    const newest = hex(sha256(relay.world.cas.client.crl))
    const kept = async () => (await stored(store)).lists.map(({ hash }) => hex(hash))
    await expect.poll(kept).toEqual([newest])
    expect(lists(relay)).toBe(2)
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    await theirs.verify(signature, 'Hello')
    expect((await stored(store)).lists).toHaveLength(1)
  })

  it('[sign-6] a sender that a list has is refused, or reported to who wants it', async () => {
    const { relay, kim, lee, notes, theirs, sender, read, refuses } = await openTwo()
    const signature = await notes.sign('Hello')
    const message = await notes.encrypt('Hello', { sign: true })
    await revoke(relay.world.cas.client, kim, relay.now)
    await relay.publish()
    await lee.refresh()
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_CERT_REVOKED')
    for (const options of [{}, { from: true }, { from: KIM }])
      await refuses('ERR_CERT_REVOKED', message, options)
    const revoked = { ...sender, status: 'revoked' }
    expect(await theirs.verify(signature, 'Hello', { allowRevoked: true })).toEqual(revoked)
    for (const options of [{}, { from: true }, { from: KIM }])
      expect((await read(message, { ...options, allowRevoked: true })).sender).toEqual(revoked)
    expect((await read(message, { from: false })).sender).toBeUndefined()
  })

  it('[sign-6] are kept for the time without a relay, until their next update', async () => {
    const { relay, lee, store, identity, notes, theirs, sender } = await openTwo()
    const signature = await notes.sign('Hello')
    await theirs.verify(signature, 'Hello')
    lee.close()
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    const offline = await (await openClient(relay, { identity, store })).keyring('notes')
    expect(await offline.verify(signature, 'Hello')).toEqual(sender)
    relay.now += 7 * DAY
    expect(await offline.verify(signature, 'Hello')).toEqual(sender)
    relay.now += 1
    await expectCode(offline.verify(signature, 'Hello'), 'ERR_CRL')
    relay.now += 24 * DAY
    expect(await offline.verify(signature, 'Hello')).toEqual({ ...sender, status: 'expired' })
  })

  it('[sign-6] that a list cannot be fetched with a head does not fail the fetch of that head', async () => {
    const { relay, lee, notes, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    await theirs.verify(signature, 'Hello')
    const other = await issueSigner(relay.world.cas.client, KIM, relay.now)
    await revoke(relay.world.cas.client, other, relay.now)
    await relay.publish()
    relay.interfere = (url, init) =>
      callOf(url, init) === 'object' ? new Response(null, { status: 404 }) : undefined
    await lee.refresh()
    expect(await theirs.decrypt(await notes.encrypt('Hello'), { as: 'text' })).toBe('Hello')
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_NOT_FOUND')
    relay.interfere = () => undefined
    expect(await theirs.verify(signature, 'Hello')).toMatchObject({ status: 'current' })
  })

  it('[sign-6] a list that comes late takes away none of those that another tab has stored', async () => {
    const { relay, notes, store, identity, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    const { client } = relay.world.cas
    const before = client.crl
    const late = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    relay.interfere = async (url, init) => {
      if (callOf(url, init) !== 'object') return undefined
      asked.resolve()
      await late.promise
      return octets(before)
    }
    const verified = theirs.verify(signature, 'Hello')
    await asked.promise
    await revoke(client, await issueSigner(client, KIM, relay.now), relay.now)
    await relay.publish()
    relay.interfere = () => undefined
    const other = await openClient(relay, { identity, store })
    const tab = await other.keyring('notes')
    await other.refresh()
    await tab.verify(signature, 'Hello')
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    late.resolve()
    expect(await verified).toMatchObject({ status: 'current' })
    const kept = (await stored(store)).lists.map(({ hash }) => hex(hash))
    expect(kept).toEqual([hex(sha256(client.crl))])
    expect(await tab.verify(signature, 'Hello')).toMatchObject({ status: 'current' })
  })

  it('[sign-6] without a relay and without lists nothing is verified', async () => {
    const { relay, notes, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_RELAY')
  })

  it.each<[string, ErrorCode, () => Response]>([
    ['other bytes', 'ERR_HASH', () => octets(utf8('no list'))],
    ['more than a list may have', 'ERR_TOO_LARGE', () => octets(new Uint8Array(1_048_577))],
    ['JSON', 'ERR_RELAY', () => Response.json({})],
    ['nothing', 'ERR_NOT_FOUND', () => new Response(null, { status: 404 })],
    ['an answer without content', 'ERR_HASH', () => new Response(null, { status: 204 })],
  ])(
    '[sign-6] a relay that gives %s in place of a list proves nothing',
    async (_, code, answer) => {
      const { relay, notes, theirs, store } = await openTwo()
      const signature = await notes.sign('Hello')
      relay.interfere = (url, init) => (callOf(url, init) === 'object' ? answer() : undefined)
      await expectCode(theirs.verify(signature, 'Hello'), code)
      expect((await stored(store)).lists).toEqual([])
      relay.interfere = () => undefined
      expect(await theirs.verify(signature, 'Hello')).toBeTruthy()
    },
  )

  it('[sign-6] where a relay has moved on, the client does too', async () => {
    const { relay, kim, notes, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    await revoke(relay.world.cas.client, kim, relay.now)
    await relay.publish()
    // The accepted head names a list that is there no more.
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_CERT_REVOKED')
  })

  it('[sign-6] messages whose list is withheld make a client fetch no more than once in a while', async () => {
    const { relay, notes, theirs } = await openTwo()
    const message = await notes.encrypt('Hello', { sign: true })
    relay.interfere = (url, init) =>
      callOf(url, init) === 'object' ? new Response(null, { status: 404 }) : undefined
    const before = relay.deliveries.length
    for (let i = 0; i < 6; i++) await expectCode(theirs.decrypt(message), 'ERR_NOT_FOUND')
    expect(relay.deliveries.length - before).toBeLessThan(6)
  })

  it('[sign-6] a list that nobody can read covers nobody', async () => {
    const { relay, lee, notes, theirs } = await openTwo()
    const signature = await notes.sign('Hello')
    relay.twist = (delivery) => ({ ...delivery, crls: [relay.world.cas.deriver.crl] })
    relay.world.cas.client.crl = utf8('no list')
    relay.world.cas.client.number++
    await relay.publish()
    await lee.refresh()
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_CRL')
    await expectCode(theirs.verify(signature, 'Hello'), 'ERR_CRL')
  })
})

const octets = (bytes: Bytes): Response =>
  new Response(bytes, { headers: { 'content-type': 'application/octet-stream' } })
