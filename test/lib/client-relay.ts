/**
 * A relay and a deriver in one `fetch`, for tests of the client: it delivers what a world publishes, grants what it is told to grant, and can be
 * told to misbehave. Everything it signs is really signed.
 */
import { onTestFinished } from 'vitest'
import { decodeDelivery, type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import { type RequestBody } from '../../shared/deriver-calls.ts'
import { MEMBER_LEAF } from '../../shared/bundle.ts'
import { base64url, equal, fromBase64url, hex, type Bytes } from '../../shared/bytes.ts'
import { callSchema, type DeliveryRequest } from '../../shared/client-calls.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { parseJson } from '../../shared/json.ts'
import { type KeyPackageBody, type KeyRequestBody } from '../../shared/key-package.ts'
import { KEYRING_LEAF } from '../../shared/manifest.ts'
import { decodeRelease } from '../../shared/release.ts'
import { parseIndex, parsePage, proveFromPages } from '../../shared/tree.ts'
import { type Proof } from '../../shared/tree-proof.ts'
import { type Suite } from '../../shared/trust.ts'
import { connect, createMemoryStore, type ConnectOptions, type Keyferry } from '../../web/index.ts'
import { type Store } from '../../web/store.ts'
import { deliveryAnswer, writeDelivery } from '../vectors/delivery-body.ts'
import { askedIn } from './client-call.ts'
import { makeRefusal } from './documents.ts'
import { makeKeyring, publish, type Keyring, type Publication } from './publication.ts'
import {
  issueSigner,
  makeWorld,
  random,
  uriOf,
  type Client,
  type World,
  type WorldOptions,
} from './world.ts'

/** What a request or package says, unverified: the test's deriver believes everything. */
function peek(envelope: Envelope): Record<string, unknown> {
  return parseJson(envelope.payload, 65_536) as Record<string, unknown>
}

export type Grant = 'grant' | 'denied' | 'pending' | 'silent'

export class ClientRelay {
  readonly world: World
  readonly keyrings: Keyring[]
  publication: Publication | undefined
  version = 0
  /** Seconds by every clock. */
  now: number
  /** What becomes of requests. */
  policy: Grant = 'grant'
  /** Deliveries and requests that came, and by which hosts. */
  deliveries: DeliveryRequest[] = []
  requests: RequestBody[] = []
  hosts: string[] = []
  /** Hashes of the objects that were asked for. */
  gets: Bytes[] = []
  refusals: Envelope[] = []
  /** Changes every delivery. */
  twist: (delivery: Delivery) => Delivery | Promise<Delivery> = (delivery) => delivery
  /** Answers instead, if it returns something. */
  interfere: (url: URL, init: RequestInit) => Promise<Response | undefined> | Response | undefined =
    () => undefined
  #objects = new Map<string, Bytes>()

  constructor(world: World, keyrings: Keyring[]) {
    this.world = world
    this.keyrings = keyrings
    this.now = world.now
  }

  static async start(
    names: string[] = ['notes'],
    options: WorldOptions = {},
  ): Promise<ClientRelay> {
    const relay = new ClientRelay(
      await makeWorld(options),
      names.map((name) => makeKeyring(name)),
    )
    await relay.publish()
    return relay
  }

  /** Signs and takes the next head. */
  async publish(options: Parameters<typeof publish>[2] = {}): Promise<void> {
    this.version++
    this.publication = await publish(this.world, this.keyrings, {
      version: this.version,
      catalogNumber: this.version,
      now: this.now,
      ...options,
    })
    for (const one of this.publication.objects) this.#objects.set(hex(sha256(one)), one)
  }

  config(relays = ['https://relay.example']): AppConfigJson {
    return {
      floor: null,
      keyrings: this.keyrings.map(({ id, name }) => ({ id: base64url(id), name })),
      relays,
      tenant: this.world.tenant,
    }
  }

  /** Connects a new client with a new certificate. */
  async connect(options: Partial<ConnectOptions> = {}): Promise<Keyferry> {
    const { client } = this.world.cas
    return connect({
      config: this.config(),
      identity:
        options.identity ?? (await issueSigner(client, uriOf('client', 'kim'), this.world.now)),
      store: createMemoryStore(),
      fetch: this.fetch,
      now: () => this.now,
      WebSocket: null,
      ...options,
    })
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(input as string | URL)
    this.hosts.push(url.host)
    const other = await this.interfere(url, init ?? {})
    if (other !== undefined) return other
    const asked = callSchema(askedIn(init!.body), '')
    if (asked.call === 'object') return this.#get(asked.hash)
    if (asked.call === 'delivery') {
      const { call: _, ...ask } = asked
      this.deliveries.push(ask)
      return this.#deliver(ask)
    }
    if (asked.call === 'wait') throw new TypeError('nobody waits here')
    const { call: _, ...body } = asked
    this.requests.push(body)
    await this.#answer(body)
    return new Response(null, { status: 202 })
  }

  /** The newest list of a CA, as a relay has it: no earlier one. */
  #get(hash: Bytes): Response {
    this.gets.push(hash)
    const found = this.publication!.crls.find((der) => equal(sha256(der), hash))
    if (found === undefined) return new Response(null, { status: 404 })
    return new Response(found, { headers: { 'content-type': 'application/octet-stream' } })
  }

  /** An object that was published, by its hash. */
  object(hash: Bytes): Bytes {
    return this.#objects.get(hex(hash))!
  }

  #place(tree: { index: Bytes }, length: number, matches: (leaf: Bytes) => boolean) {
    const index = parseIndex(this.#objects.get(hex(tree.index))!, length)
    for (const [number, hash] of index.pages.entries()) {
      const page = parsePage(this.#objects.get(hex(hash))!, length)
      const at = page.leaves.findIndex(matches)
      if (at < 0) continue
      const slot = number * 256 + at
      const proof: Proof = proveFromPages(index, page, slot)
      return { leaf: page.leaves[at]!.slice(), proof }
    }
    return undefined
  }

  /** What an honest relay has for a member, with whatever it does not hold yet. */
  item(
    keyring: Bytes,
    ask: Pick<DeliveryRequest, 'package' | 'have'>,
  ): DeliveredKeyring | undefined {
    const { body, catalog } = this.publication!
    const isOf = (leaf: Bytes): boolean => equal(leaf.subarray(0, 16), keyring)
    const release = this.#place(body.releases, KEYRING_LEAF, isOf)
    const { manifests } = peek(catalog) as { manifests: { index: string } }
    const manifest = this.#place({ index: fromBase64url(manifests.index) }, KEYRING_LEAF, isOf)
    if (release === undefined || manifest === undefined || ask.package.length === 0)
      return undefined
    const bytes = this.#objects.get(hex(release.leaf.subarray(16)))!
    const shown = decodeRelease(bytes)
    const member = this.#place(shown.members, MEMBER_LEAF, (leaf) =>
      equal(leaf.subarray(0, 32), ask.package),
    )
    if (member === undefined) return undefined
    const give = (hash: Bytes): Bytes =>
      ask.have.objects.some((one) => equal(one, hash))
        ? new Uint8Array()
        : this.#objects.get(hex(hash))!
    return {
      bundle: give(shown.bundle),
      keyring,
      manifest: give(shown.manifest),
      manifestProof: manifest.proof,
      member: ask.have.objects.some((one) => equal(one, shown.members.index)) ? null : member,
      release: bytes,
      releaseProof: release.proof,
      welcome: give(member.leaf.slice(64, 96)),
    }
  }

  async #deliver(ask: DeliveryRequest): Promise<Response> {
    const { head, headHash, catalog, crls } = this.publication!
    const keyrings = ask.keyrings.flatMap((id) => this.item(id, ask) ?? [])
    const isNew = keyrings.some(({ bundle, manifest, welcome }) =>
      [bundle, manifest, welcome].some((one) => one.length > 0),
    )
    const trust = this.world.trusts.slice(ask.have.trust)
    const refusals = ask.keyrings.length > 0 ? this.refusals : []
    if (
      equal(ask.have.head, headHash) &&
      !isNew &&
      trust.length === 0 &&
      this.refusals.length === 0
    )
      return new Response(null, { status: 204 })
    const delivery: Delivery = {
      catalog: ask.have.catalog === this.version && trust.length === 0 ? null : catalog,
      crls,
      head,
      keyrings,
      refusals,
      trust,
    }
    const sent = writeDelivery(await this.twist(structuredClone(delivery)))
    decodeDelivery(sent)
    return deliveryAnswer(sent)
  }

  async #answer(body: RequestBody): Promise<void> {
    const { nonce, keyrings, signer } = peek(body.request) as unknown as Record<
      keyof KeyRequestBody,
      string
    > & { keyrings: string[] }
    if (this.policy === 'silent') return
    if (this.policy === 'grant') {
      const own = fromBase64url(signer)
      // What the device is in already moves to its newest package, too.
      const held = this.keyrings.filter(({ members }) =>
        members.some(({ fingerprint }) => equal(fingerprint, own)),
      )
      for (const id of [...held.map((one) => one.id), ...keyrings.map(fromBase64url)])
        this.join(id, body.package)
      return this.publish()
    }
    this.refusals = []
    for (const id of keyrings) {
      const changes = { kind: this.policy, nonce: fromBase64url(nonce), issuedAt: this.now }
      this.refusals.push(
        await makeRefusal(this.world, fromBase64url(signer), fromBase64url(id), {
          ...changes,
          expiresAt: this.now + 3_600,
        }),
      )
    }
  }

  /** Makes the client of a package a member, in place of its older packages. */
  join(id: Bytes, envelope: Envelope): void {
    const keyring = this.keyrings.find((one) => equal(one.id, id))
    const body = peek(envelope) as unknown as Record<keyof KeyPackageBody, string>
    if (keyring === undefined) return
    const hash = documentHash(envelope)
    const same = this.keyrings.flatMap(({ members }) => members)
    const member: Client = same.find((one) => equal(one.packageHash, hash)) ?? {
      name: 'client',
      signer: { key: null as never, certificates: envelope.certificates },
      fingerprint: fromBase64url(body.signer),
      key: { suite: body.suite as Suite, publicKey: fromBase64url(body.key), privateKeys: [] },
      package: envelope,
      packageHash: hash,
      channel: random(32),
    }
    keyring.members = [
      ...keyring.members.filter((one) => !equal(one.fingerprint, member.fingerprint)),
      member,
    ]
  }

  /** Takes every client out of a keyring. */
  async remove(name: string): Promise<void> {
    const keyring = this.keyrings.find((one) => one.name === name)!
    keyring.members = []
    keyring.generation++
    keyring.kek = random(32)
    await this.publish()
  }
}

/** Connects a client that is closed when the test ends. */
export async function openClient(
  relay: ClientRelay,
  options: Partial<ConnectOptions> = {},
): Promise<Keyferry> {
  const client = await relay.connect(options)
  onTestFinished(() => client.close())
  return client
}

/** What a store holds. */
export async function stored(store: Store) {
  return (await store.read())!
}
