/**
 * The stage of an attack: an honest tenant with two keyrings, a client that holds them or a new one, and between them a relay that does whatever the
 * attack says. What has to be true after every attack is asked here, once for all.
 */
import { expect } from 'vitest'
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import { fromUtf8, hex, type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { type HeadBody } from '../../shared/release.ts'
import { createMemoryStore, type Identity, type Keyferry, type Keyring } from '../../web/index.ts'
import { type Store } from '../../web/store.ts'
import { callOf } from './client-call.ts'
import { ClientRelay } from './client-relay.ts'
import { manifestOf } from './publication.ts'
import { forge, signHead, signText, type Forgery } from './thief.ts'
import { DAY, issueSigner, random, uriOf } from './world.ts'
import { deliveryAnswer, rewriteJson } from '../vectors/delivery-body.ts'

/** A client that holds keys and state, or one that connects for the first time. */
export type Victim = 'held' | 'new'

/** One attack. It is named after its row in the threat tables. */
export interface Attack {
  row: string
  /** Who does it, with what: always with every byte of every answer. */
  actor: string
  /** How the client answers. */
  code: ErrorCode
  /** By default, both. */
  victims?: readonly Victim[]
  /** Changes what the relay does; from then on the client is attacked. */
  play: (stage: Stage) => void | Promise<void>
  /** What the client does then; by default it fetches, or asks for its keyring. */
  act?: (stage: Stage) => Promise<unknown>
  /** False for what the client takes, because it is honestly signed, and bounds by time or version instead. */
  isRefused?: boolean
}

/** How a test of an attack is called. */
export function titleOf({ row, actor, code }: Attack): string {
  return `${row} · ${actor} · ${code}`
}

const PLAIN = 'before the attack'
const OCTETS_ANSWER = { headers: { 'content-type': 'application/octet-stream' } }

export class Stage {
  readonly relay: ClientRelay
  readonly victim: Victim
  readonly store: Store
  readonly identity: Identity
  client!: Keyferry
  /** Of the client that holds it. */
  notes!: Keyring
  orders!: Keyring
  /** Encrypted by an honest client in the keyring "notes". */
  message!: Bytes
  /** What is asked after the attack, and what ends it, beside what every attack has. */
  after: () => void = () => {}
  restore: () => void = () => {}
  readonly #began: number

  constructor(relay: ClientRelay, victim: Victim, store: Store, identity: Identity) {
    this.relay = relay
    this.victim = victim
    this.store = store
    this.identity = identity
    this.#began = relay.now
  }

  static async set(victim: Victim, store: Store): Promise<Stage> {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const ca = relay.world.cas.client
    const identity = await issueSigner(ca, uriOf('client', 'kim'), relay.now)
    const stage = new Stage(relay, victim, store, identity)
    const other = await relay.connect({
      identity: await issueSigner(ca, uriOf('client', 'lee'), relay.now),
    })
    stage.message = await (await other.keyring('notes')).encrypt(PLAIN)
    other.close()
    await stage.connect()
    if (victim === 'held') {
      stage.notes = await stage.client.keyring('notes')
      stage.orders = await stage.client.keyring('orders')
    }
    return stage
  }

  /** Connects (again) with what is stored. */
  async connect(): Promise<void> {
    this.client?.close()
    const { store, identity } = this
    this.client = await this.relay.connect({ store, identity })
  }

  /** Changes every delivery from now on. */
  twist(change: (delivery: Delivery) => Delivery | Promise<Delivery>): void {
    this.relay.twist = change
  }

  /** Signs every head again with the deriver's stolen key, or another one. */
  twistHead(change: (body: HeadBody) => object, signer?: Signer): void {
    this.twist(async (delivery) => ({
      ...delivery,
      head: await signHead(
        change(this.relay.publication!.body),
        signer ?? this.relay.world.deriver,
      ),
    }))
  }

  /** Signs every head with this done to the JSON text of its body. */
  twistHeadText(change: (text: string) => string): void {
    const { deriver } = this.relay.world
    this.twist(async (delivery) => ({
      ...delivery,
      head: await signText(delivery.head, change(fromUtf8(delivery.head.payload)), deriver),
    }))
  }

  /** The present bundle of a keyring, which its release names. */
  bundleOf(index: number): Bytes {
    const { publication, keyrings } = this.relay
    return this.relay.object(publication!.releases.get(keyrings[index]!)!.body.bundle)
  }

  /** The present manifest of a keyring. */
  manifestOf(index: number): Bytes {
    const { publication, keyrings } = this.relay
    return this.relay.object(publication!.releases.get(keyrings[index]!)!.body.manifest)
  }

  /** Changes the part of "notes" in every delivery that has it, with all its objects there. */
  twistItem(
    change: (item: DeliveredKeyring) => DeliveredKeyring | Promise<DeliveredKeyring>,
  ): void {
    this.twist(async (delivery) => {
      const item = await this.item()
      return item === undefined ? delivery : { ...delivery, keyrings: [await change(item)] }
    })
  }

  /** Forges the part of "notes" and the head over it, with the deriver's stolen key. */
  forge(forgery: Forgery | ((item: DeliveredKeyring) => Forgery | Promise<Forgery>)): void {
    this.twist(async (delivery) => {
      const item = await this.item()
      if (item === undefined) return delivery
      const made = typeof forgery === 'function' ? await forgery(item) : forgery
      return forge(this.relay, delivery, item, made)
    })
  }

  /** The true part of a keyring for this client, whole; `undefined` while it is no member. */
  async item(index = 0): Promise<DeliveredKeyring | undefined> {
    const packageHash = (await this.store.read())?.packages.at(-1)?.hash ?? new Uint8Array()
    const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 }
    return this.relay.item(this.relay.keyrings[index]!.id, { package: packageHash, have })
  }

  /** Answers every delivery with these bytes. */
  answer(body: () => BodyInit, init: ResponseInit = OCTETS_ANSWER): void {
    this.relay.interfere = (url, sent) =>
      callOf(url, sent) === 'delivery' ? new Response(body(), init) : undefined
  }

  /** Changes the JSON text of every delivery. */
  rewrite(change: (text: string) => string): void {
    const { relay } = this
    relay.interfere = async (url, init) => {
      if (callOf(url, init) !== 'delivery') return undefined
      const interfere = relay.interfere
      relay.interfere = () => undefined
      const honest = await relay.fetch(url, init)
      relay.interfere = interfere
      if (honest.status !== 200) return honest
      return deliveryAnswer(rewriteJson(await honest.bytes(), change))
    }
  }

  /** Signs the next head over the same keyrings. */
  next(options: Parameters<ClientRelay['publish']>[0] = {}): Promise<void> {
    return this.relay.publish(options)
  }

  /** Adds a version of the present incarnation to every keyring and moves on to it. */
  async rotate(): Promise<void> {
    const { incarnation } = this.relay.world.trust
    for (const keyring of this.relay.keyrings) {
      const version = keyring.versions.length + 1
      keyring.versions.push({ incarnation, version, nonce: random(16), secret: random(32) })
      keyring.number++
    }
    await this.relay.publish()
  }

  /** What the client does by default. */
  act(): Promise<unknown> {
    if (this.victim === 'held') return this.client.refresh()
    return this.client.keyring('notes', { timeout: 4_000 })
  }

  /** Key ids that the authority committed to, in hex. */
  async keyIds(): Promise<string[]> {
    const { world, keyrings } = this.relay
    const manifests = await Promise.all(keyrings.map((one) => manifestOf(world, one)))
    return manifests.flatMap((bytes) =>
      decodeManifest(bytes).versions.map(({ keyId }) => hex(keyId)),
    )
  }

  /** What the client has accepted. */
  async accepted(): Promise<unknown> {
    const state = await this.store.read()
    const views = Object.values(state?.keyrings ?? {}).map(({ id, view }) => ({ id, view }))
    return { accepted: state?.accepted ?? null, views }
  }

  /** By more than a client may be offline. */
  get isClockWrong(): boolean {
    return Math.abs(this.relay.now - this.#began) > DAY
  }

  /** The network is good again, and so is the clock. */
  async recover(): Promise<void> {
    this.restore()
    this.relay.twist = (delivery) => delivery
    this.relay.interfere = () => undefined
    this.relay.policy = 'grant'
    this.relay.refusals = []
    // Late enough for requests that nobody answered to be made again.
    this.relay.now = this.#began + 600
    await this.relay.publish()
    const keyring = await this.client.keyring('notes', { timeout: 15_000 })
    await this.client.refresh()
    expect(await keyring.decrypt(this.message, { as: 'text' })).toBe(PLAIN)
    const made = parseMessageHeader(await keyring.encrypt('after')).keyId
    expect(await this.keyIds()).toContain(hex(made))
  }
}

/** The code that work fails with; of a wait, that of what it waited for. Any other kind of error is a bug, and thrown on. */
async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await work
    return 'none'
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    const { code, cause } = error
    return code === 'ERR_TIMEOUT' && isKeyferryError(cause) ? cause.code : code
  }
}

/** The attacks that a victim can suffer. */
export function dueFor(victim: Victim, attacks: readonly Attack[]): readonly Attack[] {
  return attacks.filter(({ victims }) => victims?.includes(victim) ?? true)
}

/** Plays an attack: it has its one code, no key comes of it, nothing is lost, and the client is well again when the relay is. */
export async function suffer(
  attack: Attack,
  victim: Victim,
  store: Store = createMemoryStore(),
): Promise<void> {
  const stage = await Stage.set(victim, store)
  try {
    await endure(stage, attack)
  } finally {
    stage.client.close()
  }
}

async function endure(stage: Stage, attack: Attack): Promise<void> {
  const { victim } = stage
  await attack.play(stage)
  const before = await stage.accepted()
  expect(await codeOf((attack.act ?? (() => stage.act()))(stage))).toBe(attack.code)
  if (victim === 'held') {
    if (attack.isRefused !== false) expect(await stage.accepted()).toEqual(before)
    // What it had, it has.
    if (attack.isRefused !== false && !stage.isClockWrong)
      expect(await stage.notes.decrypt(stage.message, { as: 'text' })).toBe(PLAIN)
  } else {
    const state = await stage.store.read()
    const views = Object.values(state?.keyrings ?? {}).filter(({ view }) => view !== null)
    expect(attack.isRefused === false ? [] : views).toEqual([])
  }
  stage.after()
  await stage.recover()
}
