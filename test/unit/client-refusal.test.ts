// What a client takes as the deriver's word, and as its own channel: refusals bound to something else, signed under old lists, and leaves that mix.
import { beforeAll, describe, expect, it } from 'vitest'
import { compare, hex, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { type RefusalBody } from '../../shared/release.ts'
import { verifyGenesis, type TrustDocument } from '../../shared/trust.ts'
import { openChannel } from '../../web/accept.ts'
import { openRefusal, type RefusalContext } from '../../web/refusal.ts'
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
    releaseOf: () => undefined,
    ...context,
  })

describe('a refusal', () => {
  const removed = { kind: 'removed', nonce: nothing, release, head: { incarnation: 1, version: 5 } }

  it('is taken as it is meant', async () => {
    expect((await open({ nonce })).kind).toBe('denied')
    expect((await open(removed)).kind).toBe('removed')
    await open(removed, { releaseOf: () => random(32) })
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
    await expectCode(open(removed, { releaseOf: () => release }), 'ERR_UNPROVEN')
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
      const changes = { kind: 'removed', nonce: nothing, release }
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
