/** The demo's insider, between a relay and clients on the test's clock: every attack of its list has its one code, and nothing is lost by it. */
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeOwnKeys, type OwnKeys } from '../../demo/insider-keys.ts'
import { ATTACKS, bend, Insider, type Attack } from '../../demo/insider.ts'
import { writeBent } from '../../demo/front.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { callSchema, type DeliveryRequest } from '../../shared/client-calls.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { createMemoryStore, type Keyferry, type Keyring } from '../../web/index.ts'
import { type Store } from '../../web/store.ts'
import { askedIn } from '../lib/client-call.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { deliveryAnswer } from '../vectors/delivery-body.ts'
import { issueSigner, seconds, uriOf } from '../lib/world.ts'

const CODES: Record<Attack, string> = {
  deriver: 'ERR_PATH_INVALID',
  old: 'ERR_ROLLBACK',
  label: 'ERR_HASH',
  member: 'ERR_HASH',
  signature: 'ERR_SCHEMA',
  revocation: 'ERR_STALE',
  split: 'ERR_STALE',
  tenant: 'ERR_TENANT',
}
/** Seconds: what the relay can hold back with a head of the test's world. */
const LONGEST = 3_600 + 60

let own: OwnKeys

beforeAll(async () => {
  own = await makeOwnKeys('Acme', 'acme.example', seconds())
})

/** What clients talk to: the relay, with the insider in front. */
function fetchOf(relay: ClientRelay, insider: Insider, name: string): typeof fetch {
  return async (input, init) => {
    const answer = await relay.fetch(input, init)
    const ask = callSchema(askedIn(init!.body), '')
    if (ask.call !== 'delivery') return answer
    const honest = answer.status === 204 ? null : decodeDelivery(await answer.bytes())
    const given = await insider.answer(name, ask, honest)
    return given === null ? new Response(null, { status: 204 }) : deliveryAnswer(writeBent(given))
  }
}

interface Victim {
  client: Keyferry
  notes: Keyring
  store: Store
}

async function join(relay: ClientRelay, insider: Insider, name: string): Promise<Victim> {
  const store = createMemoryStore()
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', name), relay.now)
  const fetch = fetchOf(relay, insider, name)
  const client = await relay.connect({ identity, store, fetch })
  onTestFinished(() => client.close())
  const [notes] = await Promise.all([client.keyring('notes'), client.keyring('orders')])
  return { client, notes, store }
}

/** What an app does: it fetches, then encrypts. */
async function codeOf({ client, notes }: Victim): Promise<string> {
  try {
    await client.refresh()
    await notes.encrypt('x')
    return ''
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return error.code
  }
}

async function headOf({ store }: Victim): Promise<number> {
  return (await store.read())!.accepted!.head.version
}

async function setUp(): Promise<{
  relay: ClientRelay
  insider: Insider
  ada: Victim
  ben: Victim
}> {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const insider = new Insider(own)
  const [ada, ben] = [await join(relay, insider, 'ada'), await join(relay, insider, 'ben')]
  // Another head over the same catalog, as a deriver signs it all the time.
  await relay.publish({ catalogNumber: relay.version })
  for (const one of [ada, ben]) expect(await codeOf(one)).toBe('')
  return { relay, insider, ada, ben }
}

describe('the insider of the demo', () => {
  test.each(ATTACKS)('%s', async (attack) => {
    const { relay, insider, ada, ben } = await setUp()
    const message = await ben.notes.encrypt('before')
    const before = await headOf(ada)
    insider.playing = { attack, by: 'ada' }
    await relay.publish()
    const isSilent = CODES[attack] === 'ERR_STALE'
    // Nobody can see that something is withheld before the end of the last head, and everybody does after it.
    if (isSilent) {
      expect(await codeOf(ada)).toBe('')
      relay.now += LONGEST
      await relay.publish()
      expect(await codeOf(ada)).toBe('')
      relay.now += 1
    }
    expect(await codeOf(ada)).toBe(CODES[attack])
    expect(await headOf(ada)).toBe(before)
    expect(await ada.notes.decrypt(message, { as: 'text' })).toBe('before')
    expect(await codeOf(ben)).toBe(attack === 'split' ? '' : CODES[attack])
    insider.playing = null
    for (const one of [ada, ben]) expect(await codeOf(one)).toBe('')
    expect(await headOf(ada)).toBe(await headOf(ben))
    expect(await headOf(ada)).toBeGreaterThan(before)
    const after = await ada.notes.encrypt('after')
    expect(await ben.notes.decrypt(after, { as: 'text' })).toBe('after')
  })

  test('an old head waits until there are two', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const insider = new Insider(own)
    insider.playing = { attack: 'old', by: 'ada' }
    const ada = await join(relay, insider, 'ada')
    await relay.publish()
    const codes = [await codeOf(ada), await codeOf(ada)]
    expect(codes).toContain('ERR_ROLLBACK')
  })

  test('an old head is served to who has accepted a newer one, and to nobody else', async () => {
    const { relay, insider, ada } = await setUp()
    const given: [DeliveryRequest, Delivery][] = []
    const answer = insider.answer.bind(insider)
    insider.answer = async (name, ask, honest) => {
      if (honest !== null) given.push([ask, honest])
      return answer(name, ask, honest)
    }
    for (let i = 0; i < 2; i++) {
      await relay.publish()
      await ada.client.refresh()
    }
    const [[, before], [ask, last]] = given as [(typeof given)[0], (typeof given)[1]]
    const exchange = { ask, honest: last, past: [before, last], isPicked: false }
    expect(await bend('old', exchange, own)).toBe(last)
    const have = { ...ask.have, head: documentHash(last.head) }
    const later = { ...exchange, ask: { ...ask, have }, honest: null }
    expect(await bend('old', later, own)).toMatchObject({ head: before.head, trust: [] })
  })

  test('a client without state is given no keys by any of them', async () => {
    for (const attack of ['deriver', 'signature', 'tenant'] as const) {
      const relay = await ClientRelay.start(['notes', 'orders'])
      const insider = new Insider(own)
      insider.playing = { attack, by: 'ada' }
      await expect(join(relay, insider, 'kim')).rejects.toMatchObject({ code: CODES[attack] })
    }
  })
})
