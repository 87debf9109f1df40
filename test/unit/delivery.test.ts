// Bodies of deliveries (docs/PROTOCOL.md, "HTTP"): what a client decodes, and what it keeps of it.
import { beforeAll, describe, expect, it } from 'vitest'
import { concat, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { encodeDelivery } from '../../shared/encode-delivery.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { MAX_BUNDLE, MAX_CRL, MAX_DELIVERY, MAX_MANIFEST } from '../../shared/limits.ts'
import { openDelivery } from '../../shared/open.ts'
import { createMemoryStore } from '../../web/index.ts'
import { ClientRelay, openClient, stored } from '../lib/client-relay.ts'
import { makeDelivery, makeWorld, openContext, type World } from '../lib/fixtures-delivery.ts'
import { expectCode, outcome } from '../lib/fixtures-expect.ts'
import { frame, rewriteJson, writeDelivery } from '../vectors/delivery-body.ts'

let world: World
let delivery: Delivery
let body: Bytes

beforeAll(async () => {
  world = await makeWorld()
  delivery = await makeDelivery(world)
  body = writeDelivery(delivery)
})

const refused = (bytes: Bytes, code: ErrorCode) => expectCode(() => decodeDelivery(bytes), code)

describe('a body', () => {
  it('is what the relay writes of stored envelopes', () => {
    const { catalog, head, refusals, trust, ...objects } = delivery
    const written = encodeDelivery({
      ...objects,
      catalog: encodeEnvelope(catalog!),
      head: encodeEnvelope(head),
      refusals: refusals.map(encodeEnvelope),
      trust: trust.map(encodeEnvelope),
    })
    expect(decodeDelivery(written)).toEqual(delivery)
    expect(decodeDelivery(body)).toEqual(delivery)
  })

  it('has its objects behind the JSON: lists, then bundle and manifest of each keyring', () => {
    const objects = delivery.keyrings.flatMap(({ bundle, manifest }) => [bundle, manifest])
    const tail = concat(...delivery.crls, ...objects)
    expect(body.slice(-tail.length)).toEqual(tail)
    expect(new DataView(body.buffer).getUint32(0)).toBe(body.length - 4 - tail.length)
  })

  it('is decoded where it stands, also within longer memory', () => {
    const memory = concat(Uint8Array.of(1, 2, 3), body, Uint8Array.of(4))
    const decoded = decodeDelivery(memory.subarray(3, -1))
    expect(decoded).toEqual(delivery)
    const [item] = decoded.keyrings
    for (const one of [decoded.crls[0]!, item!.bundle, item!.manifest])
      expect(one.buffer).toBe(memory.buffer)
  })

  it('[dec-4] whose JSON is longer than it, or that has not even a length, is ERR_MALFORMED', async () => {
    await refused(new Uint8Array(), 'ERR_MALFORMED')
    await refused(u32(0).slice(1), 'ERR_MALFORMED')
    await refused(concat(u32(body.length - 3), body.slice(4)), 'ERR_MALFORMED')
    await refused(concat(u32(0xffffffff), body.slice(4)), 'ERR_MALFORMED')
  })

  it('[dec-4] that ends within an object, or goes on after the last one, is ERR_MALFORMED', async () => {
    await refused(body.slice(0, -1), 'ERR_MALFORMED')
    await refused(concat(body, Uint8Array.of(0)), 'ERR_MALFORMED')
    await refused(
      rewriteJson(body, (text) => text.replace(/"manifest":(\d+)/, '"manifest":0')),
      'ERR_MALFORMED',
    )
  })

  it.each([
    ['bundle', MAX_BUNDLE],
    ['manifest', MAX_MANIFEST],
  ])('[dec-3] a %s above its limit is ERR_SCHEMA', async (name, limit) => {
    const long = new Uint8Array(limit + 1)
    const [item] = delivery.keyrings
    const made = (object: Bytes) =>
      writeDelivery({ ...delivery, crls: [], keyrings: [{ ...item!, [name]: object }] })
    await refused(made(long), 'ERR_SCHEMA')
    expect(decodeDelivery(made(long.slice(1))).keyrings).toHaveLength(1)
  })

  it('[dec-3] a list of no length or above its limit, and a length that is no integer, is ERR_SCHEMA', async () => {
    for (const length of [0, MAX_CRL + 1])
      await refused(writeDelivery({ ...delivery, crls: [new Uint8Array(length)] }), 'ERR_SCHEMA')
    for (const length of ['-1', '0.5', '"AA"', 'null'])
      await refused(
        rewriteJson(body, (text) => text.replace(/"bundle":\d+/, `"bundle":${length}`)),
        'ERR_SCHEMA',
      )
    const lists = Array.from({ length: 65 }, () => new Uint8Array(1))
    await refused(writeDelivery({ ...delivery, crls: lists }), 'ERR_SCHEMA')
  })

  it('[dec-1] above the limit is ERR_TOO_LARGE, whatever is in it', async () => {
    const [item] = delivery.keyrings
    const bundle = new Uint8Array(1_000_000)
    const items = Array.from({ length: 8 }, () => ({ ...item!, bundle }))
    const most = writeDelivery({ ...delivery, crls: [], keyrings: items })
    const rest = MAX_DELIVERY - most.length
    // White space in the JSON: any form is good.
    const padded = (more: number) => rewriteJson(most, (text) => text + ' '.repeat(rest + more))
    expect(padded(0).length).toBe(MAX_DELIVERY)
    expect(decodeDelivery(padded(0)).keyrings).toHaveLength(8)
    await refused(padded(1), 'ERR_TOO_LARGE')
    await refused(new Uint8Array(MAX_DELIVERY + 1), 'ERR_TOO_LARGE')
  })

  it('that is the JSON alone, or none, is ERR_MALFORMED', async () => {
    await refused(body.slice(4), 'ERR_MALFORMED')
    await refused(frame(utf8('{')), 'ERR_MALFORMED')
    await refused(frame(Uint8Array.of(0xff)), 'ERR_MALFORMED')
  })
})

describe('a client', () => {
  it('keeps objects in memory of their own, and not the answer that they came in', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const store = createMemoryStore()
    const write = store.write.bind(store)
    const sizes: number[] = []
    // What is written, before the store copies it.
    store.write = (state) => {
      for (const { view } of Object.values(state.keyrings))
        for (const one of [view?.bundle, view?.manifest, view?.release])
          if (one !== undefined) sizes.push(one.buffer.byteLength - one.length)
      return write(state)
    }
    const client = await openClient(relay, { store })
    await Promise.all([client.keyring('notes'), client.keyring('orders')])
    expect(new Set(sizes)).toEqual(new Set([0]))
    expect(Object.keys((await stored(store)).keyrings)).toHaveLength(2)
  })

  it('keeps what it has looked at, whenever the memory of the answer changes', async () => {
    let opened = 0
    for (let turns = 0; turns < 60; turns++) {
      const decoded = decodeDelivery(body.slice())
      const change = (): void => {
        for (const { bundle, manifest } of decoded.keyrings)
          for (const one of [bundle, manifest]) one[one.length - 1]! ^= 1
      }
      const context = openContext(world)
      let begun: Promise<void> | undefined
      const opening = openDelivery(decoded, {
        ...context,
        // Looked at with every keyring.
        get keyrings() {
          if (begun === undefined) {
            begun = Promise.resolve()
            for (let i = 0; i < turns; i++) begun = begun.then(() => {})
            void begun.then(change)
          }
          return context.keyrings
        },
      }).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ERR_HASH' })
      })
      for (const { objects, release } of (await opening)?.keyrings ?? []) {
        expect(sha256(objects.bundle)).toEqual(release.bundle)
        expect(sha256(objects.manifest)).toEqual(release.manifest)
        opened++
      }
    }
    expect(opened).toBeGreaterThan(0)
  })

  it('has lists in memory of their own', async () => {
    const decoded = decodeDelivery(body)
    const { crls } = await openDelivery(decoded, openContext(world))
    expect(crls.map(({ der }) => der)).toEqual(delivery.crls)
    for (const { der, tbs } of crls)
      expect([der.buffer.byteLength, tbs.buffer]).toEqual([der.length, der.buffer])
  })

  it('takes no delivery of another media type', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    await client.keyring('notes')
    await relay.publish()
    const types = ['application/json', 'application/octet-stream']
    for (const type of types) {
      relay.interfere = async (url, init) => {
        const { interfere } = relay
        relay.interfere = () => undefined
        const answer = await relay.fetch(url, init)
        relay.interfere = interfere
        return new Response(await answer.bytes(), { headers: { 'content-type': type } })
      }
      expect(await outcome(client.refresh())).toBe(type === types[0] ? 'ERR_RELAY' : 'ok')
    }
  })
})
