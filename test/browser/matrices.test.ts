/** A seeded sample of the matrices of test/properties, in a browser: types in slots, bits of whole deliveries, lengths. */
import { verifyDestruction } from '../../shared/destruction.ts'
import { beforeAll, expect, it } from 'vitest'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { verifyCatalog } from '../../shared/catalog.ts'
import { parseCrl } from '../../shared/crl.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  signWithAuthority,
  type DocumentType,
  type Envelope,
} from '../../shared/envelope.ts'
import { verifyExport } from '../../shared/export.ts'
import { verifyKeyPackage, verifyKeyRequest, type KeyPackage } from '../../shared/key-package.ts'
import { openDelivery, type OpenContext } from '../../shared/open.ts'
import { verifyRefusal } from '../../shared/refusal.ts'
import { verifyHead } from '../../shared/release.ts'
import { signData, verifyData } from '../../shared/sender.ts'
import { verifyGenesis, verifySuccessor, type TrustDocument } from '../../shared/trust.ts'
import { writeDelivery } from '../vectors/delivery-body.ts'
import { makeDestruction, makeRefusal, makeRequest } from '../lib/documents.ts'
import { outcome } from '../lib/fixtures-expect.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import {
  crlsOf,
  makeClient,
  makeTrust,
  makeWorld,
  random,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'
import { ClientRelay } from '../lib/client-relay.ts'

const SEED = 20_261_128
const SAMPLES = 600

/** Numbers from 0 to below 1 that are the same in every run (mulberry32). */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ;) {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    yield ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

let world: World
let alice: Client
let trust: TrustDocument
let good: Bytes
let context: OpenContext

beforeAll(async () => {
  const relay = new ClientRelay(await makeWorld(), [])
  world = relay.world
  alice = await makeClient(world, 'alice')
  relay.keyrings.push(makeKeyring('notes', [alice], 5))
  await relay.publish()
  const { id } = relay.keyrings[0]!
  const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 }
  const { head, catalog, crls } = relay.publication!
  const item = relay.item(id, { package: alice.packageHash, have })!
  const delivery: Delivery = {
    head,
    catalog,
    crls,
    trust: world.trusts,
    keyrings: [item],
    refusals: [],
  }
  good = writeDelivery(delivery)
  trust = await verifyGenesis(world.trusts[0]!, world.tenant)
  context = {
    tenant: world.tenant,
    floor: null,
    packageHash: alice.packageHash,
    keyrings: [id],
    now: world.now,
    last: null,
    trust: null,
    kept: () => undefined,
    held: () => null,
  }
})

const open = async (body: Bytes) => openDelivery(decodeDelivery(body), context)

it(`any bit of a delivery changed is refused by name, or changes nothing (seed ${SEED})`, async () => {
  const honest = await open(good)
  const next = numbers(SEED)
  const codes = new Set<string>()
  for (let i = 0; i < SAMPLES; i++) {
    const at = Math.floor(next.next().value! * good.length)
    const bit = Math.floor(next.next().value! * 8)
    const changed = good.with(at, good[at]! ^ (1 << bit))
    codes.add(
      await outcome(async () => {
        expect((await open(changed)).accepted).toEqual(honest.accepted)
      }),
    )
  }
  expect(codes.size).toBeGreaterThan(4)
}, 120_000)

it(`a delivery cut off anywhere is ERR_MALFORMED (seed ${SEED})`, async () => {
  const next = numbers(SEED)
  for (let i = 0; i < SAMPLES; i++) {
    const end = Math.floor(next.next().value! * good.length)
    expect(await outcome(() => open(good.slice(0, end)))).toBe('ERR_MALFORMED')
  }
})

it('[env-2] every type of document is taken in its own slot and in no other', async () => {
  const verify = { trust, now: world.now, crls: crlsOf(world) }
  let keyPackage: KeyPackage | undefined
  const statement = {
    tenant: world.tenant,
    keyring: random(16),
    content: random(32),
    context: random(32),
  }
  const slots: Record<DocumentType, (envelope: Envelope) => Promise<unknown>> = {
    trust: (envelope) => verifySuccessor(envelope, trust),
    catalog: (envelope) => verifyCatalog(envelope, trust),
    head: (envelope) => verifyHead(envelope, verify),
    refusal: (envelope) => verifyRefusal(envelope, alice.fingerprint, verify),
    package: (envelope) => verifyKeyPackage(envelope, verify),
    request: (envelope) => verifyKeyRequest(envelope, keyPackage!, verify),
    signature: (envelope) =>
      verifyData(encodeEnvelope(envelope), statement, {
        trust,
        now: world.now,
        manifest: { rules: [uriOf('client', '*')] },
        lists: () => Promise.resolve(crlsOf(world).map((der) => parseCrl(der))),
      }),
    export: (envelope) => verifyExport(envelope, trust),
    destruction: (envelope) => verifyDestruction(envelope, verify),
  }
  keyPackage = await verifyKeyPackage(alice.package, verify)
  const { head, catalog } = await publish(world, [])
  const documents: Record<DocumentType, Envelope> = {
    trust: (await makeTrust(world)).envelope,
    catalog,
    head,
    refusal: await makeRefusal(world, alice.fingerprint, random(16)),
    package: alice.package,
    request: await makeRequest(world, alice, [random(16)]),
    signature: decodeEnvelope(await signData(statement, alice.signer, world.now)),
    export: await signWithAuthority(
      'export',
      {
        exportedAt: world.now,
        incarnation: 1,
        keyId: random(32),
        keyring: random(16),
        targets: [
          { method: 'RSAES_OAEP_SHA_256', target: 'aws-kms', wrappingKey: 'ab'.repeat(32) },
        ],
        tenant: trust.tenant,
        version: 1,
      },
      world.authority,
    ),
    destruction: await makeDestruction(world),
  }
  for (const [type, envelope] of Object.entries(documents)) {
    for (const [slot, take] of Object.entries(slots)) {
      const expected = slot === type ? 'ok' : 'ERR_PAYLOAD_TYPE'
      expect([type, slot, await outcome(take(envelope))]).toEqual([type, slot, expected])
    }
  }
})
