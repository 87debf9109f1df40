/** What a relay keeps back, makes up about requests, or does to clocks and stores; and split views (threats 3.2, 3.4, 3.5). */
import { utf8 } from '../../../shared/bytes.ts'
import { type Envelope } from '../../../shared/envelope.ts'
import { sha256 } from '../../../shared/hash.ts'
import { makeRefusal } from '../../lib/documents.ts'
import { type Attack, type Stage } from '../../lib/hostile-stage.ts'
import { DAY, makeWorld, random } from '../../lib/world.ts'
import { frame } from '../../vectors/delivery-body.ts'

const RELAY = 'relay'
const THIEF = "relay + deriver's key"
const PLATFORM = 'whoever can change the device'

/** Shows the client no keyring any more, under a new head, beside these refusals. */
const without =
  (refusals: (stage: Stage) => Promise<Envelope[]> | Envelope[]): Attack['play'] =>
  async (stage) => {
    await stage.next()
    stage.relay.policy = 'silent'
    const made = await refusals(stage)
    stage.twist((delivery) => ({ ...delivery, keyrings: [], refusals: made }))
  }

/** Fetches, and then uses what it has. */
const encrypting = async ({ client, notes }: Stage): Promise<unknown> => {
  await client.refresh()
  return notes.encrypt('x')
}

const recipient = ({ identity }: Stage) => sha256(identity.certificates[0]!)
const notesId = ({ relay }: Stage) => relay.keyrings[0]!.id

export const withholding: readonly Attack[] = [
  {
    row: '3.4 withheld cell, W14: shown as a removal',
    actor: RELAY,
    code: 'ERR_UNPROVEN',
    victims: ['held'],
    isRefused: false,
    play: without(() => []),
    act: encrypting,
  },
  {
    row: '3.4 withheld cell: a removal that another tenant’s deriver signed',
    actor: 'relay + other tenant',
    code: 'ERR_UNPROVEN',
    victims: ['held'],
    isRefused: false,
    play: without(async (stage) => {
      const other = await makeWorld({ now: stage.relay.now })
      const kind = { kind: 'removed', nonce: new Uint8Array(), release: random(32) }
      return [await makeRefusal(other, recipient(stage), notesId(stage), kind)]
    }),
    act: encrypting,
  },
  {
    row: '3.4 replayed answer: a removal from before the client was last shown a member',
    actor: RELAY,
    code: 'ERR_UNPROVEN',
    victims: ['held'],
    isRefused: false,
    play: without(async (stage) => {
      const head = { incarnation: 1, version: 1 }
      const kind = { kind: 'removed', nonce: new Uint8Array(), release: random(32), head }
      return [await makeRefusal(stage.relay.world, recipient(stage), notesId(stage), kind)]
    }),
    act: encrypting,
  },
  {
    row: '3.4 replayed answer: a denial of another request',
    actor: RELAY,
    code: 'ERR_UNPROVEN',
    victims: ['held'],
    isRefused: false,
    play: without(async (stage) => [
      await makeRefusal(stage.relay.world, recipient(stage), notesId(stage)),
    ]),
    act: encrypting,
  },
  {
    row: '3.4 redirected answer: a denial of somebody else',
    actor: RELAY,
    code: 'ERR_TIMEOUT',
    victims: ['new'],
    isRefused: false,
    play: without(async (stage) => [
      await makeRefusal(stage.relay.world, random(32), notesId(stage)),
    ]),
  },
  {
    row: '3.4 dropped requests',
    actor: RELAY,
    code: 'ERR_TIMEOUT',
    victims: ['new'],
    isRefused: false,
    play({ relay }) {
      relay.policy = 'silent'
    },
  },
  {
    row: '3.4 probing: the relay says that there is no such tenant',
    actor: RELAY,
    code: 'ERR_NOT_FOUND',
    play({ relay }) {
      const body = '{"code":"ERR_NOT_FOUND","status":404,"title":"","type":"about:blank"}'
      const headers = { 'content-type': 'application/problem+json' }
      relay.interfere = () => new Response(body, { status: 404, headers })
    },
  },
  {
    row: '3.4 withheld cell: the relay says that the deriver denied it',
    actor: RELAY,
    code: 'ERR_RELAY',
    play({ relay }) {
      const body = '{"code":"ERR_DENIED","status":403,"title":"","type":"about:blank"}'
      const headers = { 'content-type': 'application/problem+json' }
      relay.interfere = () => new Response(body, { status: 403, headers })
    },
  },
  {
    row: '3.5 malicious pages: the relay answers with HTML',
    actor: RELAY,
    code: 'ERR_RELAY',
    play: (stage) =>
      stage.answer(() => '<script>alert(1)</script>', { headers: { 'content-type': 'text/html' } }),
  },
  {
    row: '3.5 malicious pages: the relay sends the client elsewhere',
    actor: RELAY,
    code: 'ERR_RELAY',
    play(stage) {
      const headers = { location: 'https://relay.example/elsewhere' }
      stage.answer(() => '', { status: 307, headers })
    },
  },
  {
    row: '3.5 prototype pollution: in a delivery',
    actor: RELAY,
    code: 'ERR_SCHEMA',
    async play(stage) {
      await stage.next()
      stage.rewrite((text) => text.replace('{', '{"__proto__":{"polluted":1},'))
    },
  },
  {
    row: '3.5 prototype pollution, huge arrays: a delivery of endless depth',
    actor: RELAY,
    code: 'ERR_MALFORMED',
    play: (stage) => stage.answer(() => frame(utf8('['.repeat(1_000_000)))),
  },
  {
    row: '3.5 prototype pollution, huge arrays: a delivery that is no JSON',
    actor: RELAY,
    code: 'ERR_MALFORMED',
    play: (stage) => stage.answer(() => frame(utf8('{"catalog":'))),
  },
  {
    row: '3.5 clock moved back by a year',
    actor: PLATFORM,
    code: 'ERR_CLOCK',
    victims: ['held'],
    play({ relay }) {
      relay.interfere = () => new Response(null, { status: 204 })
      relay.now -= 365 * DAY
    },
    act: ({ notes }) => notes.encrypt('x'),
  },
  {
    row: '3.5 clock moved forward by a year',
    actor: PLATFORM,
    code: 'ERR_STALE',
    victims: ['held'],
    play({ relay }) {
      relay.interfere = () => new Response(null, { status: 204 })
      relay.now += 365 * DAY
    },
    act: ({ notes }) => notes.encrypt('x'),
  },
  {
    row: '3.5 state edited: an older one is put in its place under a running client',
    actor: PLATFORM,
    code: 'ERR_STATE',
    victims: ['held'],
    async play(stage) {
      const old = (await stage.store.read())!
      await stage.next()
      await stage.client.refresh()
      const { store } = stage
      const read = store.read.bind(store)
      store.read = () => Promise.resolve(old)
      stage.restore = () => {
        store.read = read
      }
    },
  },
  {
    row: '3.2 split view: the deriver’s key signs another head of the same number',
    actor: THIEF,
    code: 'ERR_FORK',
    victims: ['held'],
    isRefused: false,
    async play(stage) {
      stage.twist((delivery) => delivery)
      await stage.next()
      await stage.client.refresh()
      stage.relay.version--
      await stage.next({ head: { log: { root: random(32), size: 7 } } })
      stage.after = () => {
        const [one, ...more] = stage.client.evidence
        if (one?.code !== 'ERR_FORK' || more.length > 0) throw new Error('no evidence')
      }
    },
  },
  {
    row: '3.2 split view: a head under another trust document of the same number',
    actor: THIEF,
    code: 'ERR_FORK',
    async play(stage) {
      await stage.next()
      stage.twistHead((body) => ({ ...body, trust: { hash: random(32), number: 1 } }))
    },
  },
  {
    row: '3.2 split view: two old heads to two clients meet in the later one',
    actor: RELAY,
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    async play(stage) {
      const { relay } = stage
      const earlier = relay.publication!
      await stage.next()
      await stage.client.refresh()
      stage.twist((delivery) => ({
        ...delivery,
        head: earlier.head,
        catalog: earlier.catalog,
        keyrings: [],
      }))
      await stage.next()
    },
  },
]
