// What a client takes as the deriver's word, and as its own channel: refusals bound to something else, signed under old lists, and leaves that mix.
import { beforeAll, describe, expect, it } from 'vitest'
import { base64url, compare, hex, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { type RefusalBody } from '../../shared/refusal.ts'
import { verifyGenesis, type TrustDocument } from '../../shared/trust.ts'
import { openChannel } from '../../web/accept.ts'
import { readBounded } from '../../web/bounded.ts'
import { openRefusal, refuseKeyrings, type RefusalContext } from '../../web/refusal.ts'
import { emptyState } from '../../web/store.ts'
import { createMemoryStore } from '../../web/index.ts'
import { ClientRelay, openClient, stored } from '../lib/client-relay.ts'
import { makeRefusal } from '../lib/documents.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import {
  issueSigner,
  makeCa,
  makeWorld,
  random,
  renewTrust,
  revoke,
  uriOf,
  type World,
} from '../lib/world.ts'

let world: World
let trust: TrustDocument
const [keyring, recipient, nonce, release] = [random(16), random(32), random(16), random(32)]
const nothing = new Uint8Array()

beforeAll(async () => {
  world = await makeWorld()
  trust = await verifyGenesis(world.trusts[0]!, world.tenant)
})

const open = async (changes: Partial<RefusalBody>, context: Partial<RefusalContext> = {}) =>
  openRefusal(await makeRefusal(world, recipient, keyring, changes), {
    trust,
    now: world.now,
    crls: [world.cas.deriver.crl],
    recipient,
    head: { incarnation: 1, version: 5 },
    noncesOf: () => [nonce],
    isMember: () => false,
    packageHash: new Uint8Array(),
    lastShown: () => Promise.resolve(undefined),
    ...context,
  })

describe('a refusal', () => {
  const removed = { kind: 'removed', nonce: nothing, release, head: { incarnation: 1, version: 5 } }

  it('[refusal-4] that wants another key package names the one that there is', async () => {
    const wanted = { kind: 'package', nonce: nothing, release }
    expect((await open(wanted, { packageHash: release, isMember: () => true })).kind).toBe(
      'package',
    )
    await expectCode(open(wanted, { packageHash: random(32) }), 'ERR_UNPROVEN')
    await expectCode(open(wanted), 'ERR_UNPROVEN')
    await expectCode(open({ ...wanted, nonce }, { packageHash: release }), 'ERR_SCHEMA')
    await expectCode(open({ ...wanted, release: nothing }), 'ERR_SCHEMA')
  })

  it('is taken as it is meant', async () => {
    expect((await open({ nonce })).kind).toBe('denied')
    expect((await open(removed)).kind).toBe('removed')
    const head = { incarnation: 1, version: 4 }
    await open(removed, { lastShown: () => Promise.resolve({ head, release: random(32) }) })
  })

  it('[refusal-1] of a keyring that was not asked for is ERR_KEYRING', async () => {
    const context = { noncesOf: () => undefined }
    await expectCode(open({ nonce }, context), 'ERR_KEYRING')
    await expectCode(open(removed, context), 'ERR_KEYRING')
  })

  it('[refusal-2] of another request is ERR_UNPROVEN', async () => {
    await expectCode(open({ nonce: random(16) }), 'ERR_UNPROVEN')
    await expectCode(open({ nonce, kind: 'pending' }, { noncesOf: () => [] }), 'ERR_UNPROVEN')
  })

  it('[refusal-2] of another incarnation, or of a head to come, is ERR_UNPROVEN', async () => {
    const at = (incarnation: number, version: number) =>
      open({ ...removed, head: { incarnation, version } })
    await at(1, 4)
    for (const [incarnation, version] of [
      [2, 4],
      [2, 5],
      [1, 6],
    ] as const) {
      await expectCode(at(incarnation, version), 'ERR_UNPROVEN')
    }
    await expectCode(open(removed, { head: { incarnation: 2, version: 9 } }), 'ERR_UNPROVEN')
  })

  it('[refusal-2] that a member leaf contradicts is ERR_UNPROVEN', async () => {
    await expectCode(open(removed, { isMember: () => true }), 'ERR_UNPROVEN')
  })

  it('[refusal-2] that names a release which has the client in it is ERR_UNPROVEN', async () => {
    const head = { incarnation: 1, version: 4 }
    await expectCode(
      open(removed, { lastShown: () => Promise.resolve({ head, release }) }),
      'ERR_UNPROVEN',
    )
  })

  it('[refusal-2] from before the last head that showed the client a member is ERR_UNPROVEN', async () => {
    for (const version of [5, 6]) {
      const lastShown = () =>
        Promise.resolve({ head: { incarnation: 1, version }, release: random(32) })
      const context = { lastShown, head: { incarnation: 1, version: 9 } }
      await expectCode(open(removed, context), 'ERR_UNPROVEN')
    }
  })
})

describe('revocation of derivers', () => {
  /** A member that was taken out under a head that names the lists of two CAs, and what a deriver of the second CA says to it. */
  async function removal() {
    const relay = await ClientRelay.start()
    const second = await makeCa('deriver', relay.now)
    const { derivers } = relay.world.trust
    const anchors = [...derivers.anchors, second.certificate]
    await renewTrust(relay.world, { derivers: { ...derivers, anchors } })
    await relay.publish()
    const store = createMemoryStore()
    const client = await openClient(relay, { store })
    const notes = await client.keyring('notes')
    const rogue = await issueSigner(second, uriOf('deriver', 'rogue'), relay.now)
    const good = await issueSigner(second, uriOf('deriver', 'good'), relay.now)
    const older = second.crl
    await revoke(second, rogue, relay.now)
    const { deriver, client: clients } = relay.world.cas
    const crls = [deriver, clients, second]
      .map((ca) => ({ hash: sha256(ca.crl), issuer: ca.keyId, number: ca.number }))
      .toSorted((a, b) => compare(a.issuer, b.issuer))
    relay.policy = 'silent'
    relay.keyrings[0]!.members = []
    await relay.publish({ head: { crls } })
    const device = sha256((await stored(store)).packages[0]!.envelope.certificates[0]!)
    const codes: string[] = []
    client.on('warning', ({ code }) => codes.push(code))
    const say = async (signer: Signer, lists: Bytes[]) => {
      codes.length = 0
      const head = { incarnation: 1, version: relay.version }
      const changes = { kind: 'removed', nonce: nothing, release, head }
      const by = { ...relay.world, deriver: signer }
      relay.refusals = [await makeRefusal(by, device, relay.keyrings[0]!.id, changes)]
      relay.twist = (delivery) => ({ ...delivery, crls: [...delivery.crls, ...lists] })
      await client.refresh()
      return { state: notes.state, codes: new Set(codes) }
    }
    return { say, rogue, good, older, newest: second.crl }
  }

  it('[refusal-1] by a revoked deriver is not taken, also with an older list beside or alone', async () => {
    const { say, rogue, good, older, newest } = await removal()
    const refused = async (lists: Bytes[], code: string) =>
      expect(await say(rogue, lists)).toEqual({ state: 'unproven', codes: new Set([code]) })
    await refused([newest], 'ERR_CERT_REVOKED')
    await refused([older, newest], 'ERR_CERT_REVOKED')
    await refused([older], 'ERR_CRL')
    expect(await say(good, [older])).toMatchObject({ state: 'unproven' })
    expect(await say(good, [newest])).toMatchObject({ state: 'removed' })
  })
})

describe('a channel that is known', () => {
  it('[open-16] a leaf with its welcome and another channel id is ERR_HASH', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    await (await openClient(relay, { store })).keyring('notes')
    const { packages, keyrings, tenant } = await stored(store)
    const used = packages[0]!
    const { member } = keyrings[hex(relay.keyrings[0]!.id)]!.view!
    expect(used.channel?.key).not.toBeNull()
    const view = { member, welcome: nothing }
    expect((await openChannel(tenant, used, view)).id).toEqual(member.channelId)
    const other = { ...view, member: { ...member, channelId: random(32) } }
    await expectCode(openChannel(tenant, used, other), 'ERR_HASH')
    // The same where only the welcome was kept.
    const bare = { ...used, channel: { ...used.channel!, key: null } }
    await openChannel(tenant, bare, view)
    await expectCode(openChannel(tenant, bare, other), 'ERR_HASH')
  })
})

describe('a grant', () => {
  it('[refusal-2] ends the requests before it: a refusal of one that was kept back is not taken', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    relay.policy = 'denied'
    // The relay keeps the denial back, and asks nobody again.
    relay.twist = (delivery) => ({ ...delivery, refusals: [] })
    await expectCode(client.keyring('notes', { timeout: 1_000 }), 'ERR_TIMEOUT')
    const kept = relay.refusals
    expect(kept).toHaveLength(1)
    relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
    await relay.publish()
    const notes = await client.keyring('notes')
    expect(notes.state).toBe('ready')
    relay.policy = 'silent'
    relay.twist = (delivery) => ({ ...delivery, keyrings: [], refusals: kept })
    await relay.publish()
    await client.refresh()
    expect(notes.state).toBe('unproven')
    await expectCode(notes.encrypt('x'), 'ERR_UNPROVEN')
  })
})

describe('an older word', () => {
  it('[refusal-2] does not replace a newer one', async () => {
    const state = emptyState()
    const id = random(16)
    const refusal = { keyring: id, reason: '', expiresAt: 9_000, release: nothing }
    const denied = refuseKeyrings(state, [{ ...refusal, kind: 'denied', issuedAt: 20 }])
    const after = refuseKeyrings({ ...state, keyrings: denied }, [
      { ...refusal, kind: 'pending', issuedAt: 10 },
    ])
    expect(after[hex(id)]?.refusal?.kind).toBe('denied')
    const newer = refuseKeyrings({ ...state, keyrings: denied }, [
      { ...refusal, kind: 'pending', issuedAt: 21 },
    ])
    expect(newer[hex(id)]?.refusal?.kind).toBe('pending')
  })
})

describe('evidence', () => {
  it('is only what a deriver signed: a fork that the relay made up leaves none', async () => {
    const relay = await ClientRelay.start()
    const config = { ...relay.config(), floor: { hash: base64url(random(32)), number: 1 } }
    const client = await openClient(relay, { config })
    relay.twist = (delivery) => ({ ...delivery, head: { ...delivery.head, payload: random(64) } })
    await expectCode(client.keyring('notes'), 'ERR_FORK')
    expect(client.evidence).toEqual([])
  })
})

describe('an answer in one part, in a few or in very many', () => {
  const { signal } = new AbortController()
  const inParts = (...parts: Uint8Array[]): Response =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (const part of parts) controller.enqueue(part)
          controller.close()
        },
      }),
    )

  it.each([[[]], [[3]], [[0, 3]], [[3, 0, 2]], [[1, 1, 1]], [[2, 5, 100]]])(
    'is what its parts of %j bytes are, and no byte more than agreed',
    async (lengths) => {
      // Each part is a piece of memory that goes on with something else.
      const parts = lengths.map((length) => new Uint8Array(length + 9).fill(7).subarray(4, -5))
      const total = lengths.reduce((sum, one) => sum + one, 0)
      const whole = new Uint8Array(total).fill(7)
      expect(await readBounded(inParts(...parts), total, signal)).toEqual(whole)
      expect(await readBounded(inParts(...parts), total + 50, signal)).toEqual(whole)
      if (total > 0)
        await expectCode(readBounded(inParts(...parts), total - 1, signal), 'ERR_TOO_LARGE')
    },
  )

  it('is not read on after an abort, by whoever goes on sending and hears of nothing', async () => {
    const stop = new AbortController()
    const reason = new Error('no more')
    let sent = 0
    const read = async (): Promise<{ done: boolean; value: Uint8Array }> => {
      await new Promise((resolve) => setTimeout(resolve))
      if (++sent === 3) stop.abort(reason)
      return { done: sent > 50, value: Uint8Array.of(1) }
    }
    const cancel = () => new Promise<void>(() => {})
    const endless = { body: { getReader: () => ({ read, cancel }) } } as unknown as Response
    await expect(readBounded(endless, 1_000, stop.signal)).rejects.toBe(reason)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(sent).toBe(3)
  })

  it('is read like any other', async () => {
    const count = 300_000
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        for (let i = 0; i < 1_000; i++) controller.enqueue(Uint8Array.of(sent++ % 251))
        if (sent === count) controller.close()
      },
    })
    const read = await readBounded(new Response(body), count, signal)
    expect([read.length, read[0], read[count - 1]]).toEqual([count, 0, (count - 1) % 251])
  })
})
