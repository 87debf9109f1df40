// The generic matrices: every type of document in every slot, every bit flipped, every length cut off. The result is a KeyferryError
// with a code or the same meaning, never another meaning and never another kind of error. In Chromium a sample of it is run: test/browser/matrices.test.ts.
import { beforeAll, describe, expect, it, vi } from 'vitest'
import {
  decodeBundle,
  decodeMember,
  decodeWelcome,
  encodeBundle,
  encodeWelcome,
  MEMBER_LEAF,
} from '../../shared/bundle.ts'
import { concat, equal, type Bytes } from '../../shared/bytes.ts'
import { verifyCatalog } from '../../shared/catalog.ts'
import { verifyExport } from '../../shared/export.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  payloadType,
  signWithAuthority,
  type DocumentType,
  type Envelope,
} from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { verifyKeyPackage, verifyKeyRequest, type KeyPackage } from '../../shared/key-package.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import { decodeManifest, encodeManifest } from '../../shared/manifest.ts'
import { openDelivery } from '../../shared/open.ts'
import { verifyRefusal } from '../../shared/refusal.ts'
import { decodeRelease, verifyHead } from '../../shared/release.ts'
import { verifyData } from '../../shared/sender.ts'
import { buildTree, checkIndex, checkPage } from '../../shared/tree.ts'
import { verifyGenesis, verifySuccessor } from '../../shared/trust.ts'
import { openWelcome } from '../../shared/welcome.ts'
import {
  channelOf,
  KEYRINGS,
  makeDelivery,
  makeWorld,
  openContext,
  withItem,
  type World,
} from '../lib/fixtures-delivery.ts'
import { outcome } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { makeSignature, senderContext, statementOf } from '../lib/fixtures-senders.ts'
import { contextOf, NOW, requestBody, signAs, signSuccessor } from '../lib/fixtures.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { writeDelivery } from '../vectors/delivery-body.ts'
import { verifyDestruction } from '../../shared/destruction.ts'

// Tens of thousands of cases each.
vi.setConfig({ testTimeout: 120_000 })

const BITS = [0, 1, 2, 3, 4, 5, 6, 7]

let world: World
let context: VerifyContext
let delivery: Delivery
let keyPackage: KeyPackage
const documents: Partial<Record<DocumentType, Envelope>> = {}

/** Slots: where a document of a type is taken. */
const slots: Record<DocumentType, (envelope: Envelope) => Promise<{ hash: Bytes }>> = {
  trust: (envelope) => verifySuccessor(envelope, world.tenant.trust),
  catalog: (envelope) => verifyCatalog(envelope, world.tenant.trust),
  head: (envelope) => verifyHead(envelope, context),
  refusal: (envelope) => verifyRefusal(envelope, world.alice.fingerprint, context),
  package: (envelope) => verifyKeyPackage(envelope, context),
  request: (envelope) => verifyKeyRequest(envelope, keyPackage, context),
  signature: async (envelope) => {
    const { tenant } = world
    await verifyData(encodeEnvelope(envelope), statementOf(tenant), await senderContext(tenant))
    return { hash: documentHash(envelope) }
  },
  export: (envelope) => verifyExport(envelope, world.tenant.trust),
  destruction: (envelope) => verifyDestruction(envelope, context),
}
const TYPES = Object.keys(slots) as DocumentType[]

beforeAll(async () => {
  world = await makeWorld()
  const { tenant, alice, deriver } = world
  context = await contextOf(tenant)
  delivery = await makeDelivery(world)
  keyPackage = await verifyKeyPackage(alice.keyPackage, context)
  const refusal = {
    expiresAt: NOW + 60,
    head: { incarnation: 1, version: 58 },
    issuedAt: NOW,
    keyring: KEYRINGS[0],
    kind: 'denied',
    nonce: seeded('nonce', 16),
    reason: '',
    recipient: alice.fingerprint,
    release: '',
    signer: deriver.fingerprint,
    tenant: tenant.trust.tenant,
  }
  const destruction = {
    completedAt: NOW,
    erasedAt: NOW - 31 * 86_400,
    keyId: seeded('key id'),
    keyring: KEYRINGS[0],
    orderedAt: NOW - 31 * 86_400,
    retention: 0,
    signer: deriver.fingerprint,
    tenant: tenant.trust.tenant,
    version: { incarnation: 1, version: 1 },
  }
  const request = requestBody(tenant, alice, keyPackage.hash, [KEYRINGS[0]!])
  Object.assign(documents, {
    trust: await signSuccessor(tenant),
    catalog: delivery.catalog,
    head: delivery.head,
    refusal: await signAs(deriver, 'refusal', refusal),
    package: alice.keyPackage,
    request: await signAs(alice, 'request', request),
    signature: await makeSignature(tenant, alice),
    export: await signWithAuthority(
      'export',
      {
        exportedAt: NOW,
        incarnation: 1,
        keyId: seeded('key id'),
        keyring: KEYRINGS[0],
        targets: [
          { method: 'RSAES_OAEP_SHA_256', target: 'aws-kms', wrappingKey: 'ab'.repeat(32) },
        ],
        tenant: tenant.trust.tenant,
        version: 1,
      },
      tenant.authority.slice(0, 2),
    ),
    destruction: await signAs(deriver, 'destruction', destruction),
  })
})

/** Every bit flipped, one at a time. */
function* flips(bytes: Bytes): Generator<Bytes> {
  for (let i = 0; i < bytes.length; i++) {
    for (const bit of BITS) yield bytes.with(i, bytes[i]! ^ (1 << bit))
  }
}

describe.each(TYPES)('a %s', (type) => {
  it('[env-2] is taken in its own slot and is ERR_PAYLOAD_TYPE in every other', async () => {
    for (const slot of TYPES) {
      const document = documents[type]!
      // In another slot with one signature: the authority's two would be refused by their number, before the type.
      const other = { ...document, signatures: document.signatures.slice(0, 1) }
      const result = await outcome(slots[slot](slot === type ? document : other))
      expect([slot, result]).toEqual([slot, slot === type ? 'ok' : 'ERR_PAYLOAD_TYPE'])
    }
    if (type !== 'trust') {
      const genesis = verifyGenesis(documents[type]!, world.tenant.trust.tenant)
      expect(await outcome(genesis)).toBe('ERR_PAYLOAD_TYPE')
    }
  })

  it('[env-2] relabelled, or with the body of another type under its signature, is refused', async () => {
    for (const slot of TYPES) {
      if (slot === type) continue
      const { payload, signatures, certificates } = documents[type]!
      const relabelled = { ...documents[type]!, payloadType: payloadType(slot) }
      expect(await outcome(slots[slot](relabelled))).not.toBe('ok')
      const grafted = { ...documents[slot]!, payload }
      expect(await outcome(slots[slot](grafted))).not.toBe('ok')
      const resigned = { ...documents[slot]!, signatures, certificates }
      expect(await outcome(slots[slot](resigned))).not.toBe('ok')
    }
  })

  it('with the body of another type, signed as its own, is refused', async () => {
    for (const other of TYPES) {
      if (other === type) continue
      const body = JSON.parse(new TextDecoder().decode(documents[other]!.payload)) as object
      const { deriver, alice, tenant } = world
      const byAuthority = type === 'trust' || type === 'catalog'
      const envelope = byAuthority
        ? await signWithAuthority(type, body, tenant.authority.slice(0, 2))
        : await signAs(type === 'head' || type === 'refusal' ? deriver : alice, type, body)
      expect(await outcome(slots[type](envelope))).toMatch(/^ERR_(SCHEMA|TENANT|SIGNER)$/)
    }
  })

  it('changed in any bit is refused, or is the same document', async () => {
    const good = encodeEnvelope(documents[type]!)
    const hash = documentHash(documents[type]!)
    let refused = 0
    for (const bytes of flips(good)) {
      const result = await outcome(async () => {
        const verified = await slots[type](decodeEnvelope(bytes))
        expect(equal(verified.hash, hash)).toBe(true)
      })
      if (result !== 'ok') refused++
    }
    expect(refused).toBe(good.length * BITS.length)
  })

  it('cut off anywhere is refused', async () => {
    const good = encodeEnvelope(documents[type]!)
    for (let i = 0; i < good.length; i++) {
      expect(await outcome(() => decodeEnvelope(good.slice(0, i)))).toMatch(/^ERR_MALFORMED$/)
    }
  })
})

describe('objects', () => {
  const part = () => delivery.keyrings[0]!
  const leaves = Array.from({ length: 5 }, (_, i) => seeded(`leaf ${i}`, MEMBER_LEAF))
  const tree = buildTree(leaves, MEMBER_LEAF)

  const kinds: [string, () => Bytes, (bytes: Bytes) => Bytes][] = [
    ['manifest', () => part().manifest, (b) => encodeManifest(decodeManifest(b))],
    ['bundle', () => part().bundle, (b) => encodeBundle(decodeBundle(b))],
    ['welcome', () => part().welcome, (b) => encodeWelcome(decodeWelcome(b))],
    ['release', () => part().release, (b) => encodeJson(decodeRelease(b))],
    ['member leaf', () => part().member!.leaf, (b) => (decodeMember(b), b)],
    ['page', () => tree.pages[0]!, (b) => (checkPage(b, MEMBER_LEAF), b)],
    ['index', () => tree.index, (b) => (checkIndex(b, tree.pages, MEMBER_LEAF), b)],
  ]

  it.each(kinds)(
    'a %s that is changed decodes to what encodes again, or is refused',
    async (_, bytes, again) => {
      for (const changed of flips(bytes())) {
        await outcome(() => expect(again(changed)).toEqual(changed))
      }
    },
  )

  it.each(kinds)('a %s that is cut off is refused', async (_, bytes, again) => {
    const good = bytes()
    expect(again(good)).toEqual(good)
    for (let i = 0; i < good.length; i++) {
      expect(await outcome(() => again(good.slice(0, i)))).toMatch(/^ERR_/)
    }
  })

  it('a page or index that is changed is always refused', async () => {
    for (const [, bytes, again] of kinds.slice(-2)) {
      for (const changed of flips(bytes())) {
        expect(await outcome(() => again(changed))).toBe('ERR_MALFORMED')
      }
    }
  })
})

describe('a delivery', () => {
  it('whose body is cut off anywhere, or goes on, is ERR_MALFORMED', async () => {
    const body = writeDelivery(delivery)
    const read = (bytes: Bytes) => outcome(() => expect(decodeDelivery(bytes)).toEqual(delivery))
    expect(await read(body)).toBe('ok')
    for (let i = 0; i < body.length; i++) expect(await read(body.slice(0, i))).toBe('ERR_MALFORMED')
    expect(await read(concat(body, Uint8Array.of(0)))).toBe('ERR_MALFORMED')
  })

  it('whose JSON has another length is refused', async () => {
    const body = writeDelivery(delivery)
    for (const changed of flips(body.slice(0, 4))) {
      const bytes = concat(changed, body.slice(4))
      expect(await outcome(() => decodeDelivery(bytes))).toMatch(/^ERR_(MALFORMED|SCHEMA)$/)
    }
  })

  it.each(['manifest', 'bundle', 'release'] as const)(
    'with a %s changed in any bit is ERR_HASH',
    async (name) => {
      for (const changed of flips(delivery.keyrings[0]![name])) {
        const opened = openDelivery(withItem(delivery, { [name]: changed }), openContext(world))
        expect(await outcome(opened)).toBe('ERR_HASH')
      }
    },
  )

  it('with a member leaf changed in any bit is ERR_HASH', async () => {
    const { leaf, proof } = delivery.keyrings[0]!.member!
    for (const changed of flips(leaf)) {
      const item = { member: { leaf: changed, proof } }
      expect(await outcome(openDelivery(withItem(delivery, item), openContext(world)))).toBe(
        'ERR_HASH',
      )
    }
  })

  it('with a welcome changed in any bit opens nothing', async () => {
    const { alice, tenant } = world
    const { welcome, packageHash, id: channelId } = channelOf(tenant, alice)
    const { fingerprint, recipient: key } = alice
    const recipient = { tenant: tenant.trust.tenant, fingerprint, packageHash, key }
    const open = (bytes: Bytes) =>
      outcome(openWelcome(bytes, { welcomeHash: sha256(bytes), channelId }, recipient))
    expect(await open(welcome)).toBe('ok')
    for (const changed of flips(welcome)) {
      expect(await open(changed)).toMatch(/^ERR_(OPEN|MALFORMED|SUITE)$/)
    }
  })
})
