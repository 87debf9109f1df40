/** An untrusted distributor: the attacks of The Update Framework (threats 3.1). */
import { utf8 } from '../../../shared/bytes.ts'
import { signWithAuthority, signWithCertificate } from '../../../shared/envelope.ts'
import { sha256 } from '../../../shared/hash.ts'
import { generateSigningKey } from '../../../shared/signature.ts'
import { type Attack, type Stage } from '../../lib/hostile-stage.ts'
import {
  crlsOf,
  DAY,
  issueSigner,
  makeCa,
  makeTrust,
  makeWorld,
  renewCrl,
  renewTrust,
  uriOf,
} from '../../lib/world.ts'

const RELAY = 'relay'
const THIEF = "relay + deriver's key"

/** Puts what was true before a rotation, under an older generation, beside the head after it. */
const mixed =
  (change: (now: Item, before: Item) => Item): Attack['play'] =>
  async (stage) => {
    const before = (await stage.item())!
    stage.relay.keyrings[0]!.generation++
    await stage.rotate()
    stage.twistItem((now) => change(now, before))
  }
type Item = NonNullable<Awaited<ReturnType<Stage['item']>>>

/** Replays the delivery of before, whole. */
const replayed: Attack['play'] = async (stage) => {
  let first: Parameters<Parameters<Stage['twist']>[0]>[0] | undefined
  stage.twist((delivery) => (first = delivery))
  await stage.next()
  await stage.client.refresh()
  await stage.rotate()
  stage.twist((delivery) => delivery)
  await stage.client.refresh()
  await stage.next()
  stage.twist(() => first!)
}

export const distribution: readonly Attack[] = [
  {
    row: '3.1 arbitrary content, W4: a CA of its own, under the name of the customer’s',
    actor: RELAY,
    code: 'ERR_PATH_INVALID',
    async play(stage) {
      const { now } = stage.relay
      const other = await issueSigner(await makeCa('deriver', now), uriOf('deriver', 'one'), now)
      await stage.next()
      stage.twistHead((body) => ({ ...body, signer: sha256(other.certificates[0]!) }), other)
    },
  },
  {
    row: '3.1 arbitrary content, W11: a client’s certificate signs a head',
    actor: 'relay + client',
    code: 'ERR_PATH_INVALID',
    async play(stage) {
      const { identity } = stage
      await stage.next()
      stage.twistHead((body) => ({ ...body, signer: sha256(identity.certificates[0]!) }), identity)
    },
  },
  {
    row: '3.1 arbitrary content: a certificate of the derivers’ CA that no rule makes a deriver signs a head',
    actor: 'relay + other certificate',
    code: 'ERR_ROLE',
    async play(stage) {
      const { world, now } = stage.relay
      const wrong = await issueSigner(world.cas.deriver, 'keyferry://deriver.acme.example', now)
      await stage.next()
      stage.twistHead((body) => ({ ...body, signer: sha256(wrong.certificates[0]!) }), wrong)
    },
  },
  {
    row: '3.1 arbitrary content: one digit of a signed head is changed',
    actor: RELAY,
    code: 'ERR_SIGNATURE',
    async play(stage) {
      await stage.next()
      stage.twist(({ head, ...rest }) => {
        const text = new TextDecoder().decode(head.payload)
        const payload = utf8(text.replace(/"version":(\d+)}$/, '"version":9$1}'))
        return { ...rest, head: { ...head, payload } }
      })
    },
  },
  {
    row: '3.1 arbitrary content, W6, W7: the head without its signature',
    actor: RELAY,
    code: 'ERR_SCHEMA',
    async play(stage) {
      await stage.next()
      stage.rewrite((text) => text.replaceAll(/"signatures":\[[^\]]*\]/g, '"signatures":[]'))
    },
  },
  {
    row: '3.1 arbitrary content: the head without the certificate that signed it',
    actor: RELAY,
    code: 'ERR_PATH_INVALID',
    async play(stage) {
      await stage.next()
      stage.twist(({ head, ...rest }) => ({ ...rest, head: { ...head, certificates: [] } }))
    },
  },
  {
    row: '3.1 arbitrary content: the catalog signed by another authority',
    actor: RELAY,
    code: 'ERR_SIGNATURE',
    async play(stage) {
      await stage.next()
      const own = await generateSigningKey('Ed25519', true)
      stage.twist(async (delivery) => {
        const body = JSON.parse(
          new TextDecoder().decode(stage.relay.publication!.catalog.payload),
        ) as object
        return { ...delivery, catalog: await signWithAuthority('catalog', body, [own]) }
      })
    },
  },
  {
    row: '3.1 arbitrary content: the catalog signed by the deriver',
    actor: THIEF,
    code: 'ERR_SCHEMA',
    async play(stage) {
      await stage.next()
      stage.twist(async (delivery) => {
        const body = JSON.parse(
          new TextDecoder().decode(stage.relay.publication!.catalog.payload),
        ) as object
        const { key, certificates } = stage.relay.world.deriver
        return {
          ...delivery,
          catalog: await signWithCertificate('catalog', body, key, certificates),
        }
      })
    },
  },
  {
    row: '3.1 wrong content: another keyring’s documents under the name of the one asked for',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    async play(stage) {
      await stage.next()
      const other = (await stage.item(1))!
      stage.twistItem((item) => ({ ...other, keyring: item.keyring }))
    },
  },
  {
    row: '3.1 unrequested content: a keyring that was not asked for',
    actor: RELAY,
    code: 'ERR_DOCUMENT_MISMATCH',
    async play(stage) {
      await stage.next()
      stage.twistItem((item) => ({ ...item, keyring: new Uint8Array(16) }))
    },
  },
  {
    row: '3.1 unrequested content: a keyring twice',
    actor: RELAY,
    code: 'ERR_DOCUMENT_MISMATCH',
    async play(stage) {
      await stage.next()
      stage.twist(async (delivery) => {
        const item = await stage.item()
        return item === undefined ? delivery : { ...delivery, keyrings: [item, item] }
      })
    },
  },
  {
    row: '3.1 rollback, W14: an older head after a newer one',
    actor: RELAY,
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    play: replayed,
  },
  {
    row: '3.1 rollback: an older head after a restart of the client',
    actor: RELAY,
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    play: replayed,
    async act(stage) {
      await stage.connect()
      stage.notes = await stage.client.keyring('notes')
      await stage.client.refresh()
    },
  },
  {
    row: '3.1 mix and match: the catalog of before',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    async play(stage) {
      const { catalog } = stage.relay.publication!
      await stage.rotate()
      stage.twist((delivery) => ({ ...delivery, catalog }))
    },
  },
  {
    row: '3.1 mix and match: the release of before',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    play: mixed((now, { release }) => ({ ...now, release })),
  },
  {
    row: '3.1 mix and match: the release of before with its own proof',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    play: mixed((now, { release, releaseProof }) => ({ ...now, release, releaseProof })),
  },
  {
    row: '3.1 mix and match: the manifest of before',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    play: mixed((now, { manifest, manifestProof }) => ({ ...now, manifest, manifestProof })),
  },
  {
    row: '3.1 mix and match: the bundle of before',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    play: mixed((now, { bundle }) => ({ ...now, bundle })),
  },
  {
    row: '3.1 mix and match: the member leaf of before',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    async play(stage) {
      const before = (await stage.item())!
      stage.relay.keyrings[0]!.kek = crypto.getRandomValues(new Uint8Array(32))
      stage.relay.keyrings[0]!.generation++
      await stage.next()
      stage.twistItem((now) => ({ ...now, member: before.member }))
    },
  },
  {
    row: '3.1 mix and match: everything of before under the new head',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    play: mixed((_, before) => before),
  },
  {
    row: '3.1 withheld: the new catalog',
    actor: RELAY,
    code: 'ERR_HASH',
    async play(stage) {
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, catalog: null }))
    },
  },
  {
    row: '3.1 withheld: the new trust document',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['held'],
    async play(stage) {
      await renewTrust(stage.relay.world, { headLifetime: 3_601 })
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, trust: [] }))
    },
  },
  {
    row: '3.1 withheld, W11: the revocation lists',
    actor: RELAY,
    code: 'ERR_CRL',
    async play(stage) {
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, crls: [] }))
    },
  },
  {
    row: '3.1 old content under a fresh head: the revocation list of before',
    actor: RELAY,
    code: 'ERR_HASH',
    async play(stage) {
      const { world, now } = stage.relay
      const crls = crlsOf(world)
      await renewCrl(world.cas.deriver, now)
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, crls }))
    },
  },
  {
    row: '3.1 old content under a fresh head: a revocation list that the client has seen a later one of',
    actor: THIEF,
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    async play(stage) {
      const { world, now } = stage.relay
      const [old] = crlsOf(world)
      const before = stage.relay.publication!.body.crls
      await renewCrl(world.cas.deriver, now)
      await stage.next()
      await stage.client.refresh()
      await stage.next()
      const crls = [old!, world.cas.client.crl]
      stage.twist(async (delivery) => {
        stage.twistHead((body) => ({ ...body, crls: before }))
        return { ...(await stage.relay.twist(delivery)), crls }
      })
    },
  },
  {
    row: '3.1 old content under a fresh head: the catalog and manifest of before',
    actor: THIEF,
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    async play(stage) {
      const before = (await stage.item())!
      const { catalog } = stage.relay.publication!
      await stage.rotate()
      await stage.client.refresh()
      await stage.next()
      stage.forge({
        catalog: { envelope: catalog, proof: before.manifestProof },
        manifest: before.manifest,
        bundle: before.bundle,
        release: (release) => ({ ...release, encrypt: { incarnation: 1, version: 2 } }),
      })
    },
  },
  {
    row: '3.1 freeze, W14: nothing new for longer than a head lives',
    actor: RELAY,
    code: 'ERR_STALE',
    victims: ['held'],
    play(stage) {
      stage.relay.interfere = () => new Response(null, { status: 204 })
      stage.relay.now += 3_600 + 61
    },
    act: ({ notes }) => notes.encrypt('x'),
  },
  {
    row: '3.1 freeze, 3.2 state loss: the newest head there was, to one without state',
    actor: RELAY,
    code: 'ERR_STALE',
    victims: ['new'],
    isRefused: false,
    async play(stage) {
      const kim = await stage.relay.connect({ identity: stage.identity, store: stage.store })
      await kim.keyring('notes')
      kim.close()
      await stage.store.write({
        ...(await stage.store.read())!,
        revision: 1_000,
        accepted: null,
        head: new Uint8Array(),
        keyrings: {},
      })
      stage.relay.policy = 'silent'
      stage.relay.now += 3_600 + 61
      await stage.connect()
    },
    act: async ({ client }) => (await client.keyring('notes', { timeout: 4_000 })).encrypt('x'),
  },
  {
    row: '3.1 fast-forward: a head that lives until the year 9999',
    actor: THIEF,
    code: 'ERR_LIFETIME',
    async play(stage) {
      await stage.next()
      stage.twistHead((body) => ({ ...body, expiresAt: 253_402_300_799 }))
    },
  },
  {
    row: '3.1 fast-forward: a head of next year',
    actor: THIEF,
    code: 'ERR_FUTURE',
    async play(stage) {
      await stage.next()
      const later = stage.relay.now + 365 * DAY
      stage.twistHead((body) => ({ ...body, issuedAt: later, expiresAt: later + 3_600 }))
    },
  },
  {
    row: '3.1 fast-forward: the thief goes on in the incarnation that was left',
    actor: THIEF,
    code: 'ERR_INCARNATION',
    async play(stage) {
      await renewTrust(stage.relay.world, { incarnation: 2 })
      await stage.rotate()
      stage.twistHead((body) => ({ ...body, incarnation: 1, version: Number.MAX_SAFE_INTEGER }))
    },
  },
  {
    row: '3.1 fast-forward: into an incarnation that no trust document has',
    actor: THIEF,
    code: 'ERR_INCARNATION',
    async play(stage) {
      await stage.next()
      stage.twistHead((body) => ({ ...body, incarnation: 2 }))
    },
  },
  {
    row: '3.1 endless data',
    actor: RELAY,
    code: 'ERR_TOO_LARGE',
    play: (stage) =>
      stage.answer(
        () =>
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(1_048_576).fill(32)),
          }),
      ),
  },
  {
    row: '3.1 endless data: a million signatures',
    actor: RELAY,
    code: 'ERR_SCHEMA',
    async play(stage) {
      await stage.next()
      const one = '{"keyid":"AA","sig":"AA"}'
      stage.rewrite((text) =>
        text.replace(/"signatures":\[/, `"signatures":[${`${one},`.repeat(200_000)}`),
      )
    },
  },
  {
    row: '3.1 key compromise: a trust document is left out',
    actor: "relay + authority's key",
    code: 'ERR_TRUST_DOCUMENT',
    async play(stage) {
      const { world } = stage.relay
      await renewTrust(world, { headLifetime: 3_601 })
      await renewTrust(world, { headLifetime: 3_602 })
      await stage.next()
      stage.twist((delivery) => ({
        ...delivery,
        trust: delivery.trust.filter((_, i) => i !== delivery.trust.length - 2),
      }))
    },
  },
  {
    row: '3.1 key compromise: the next trust document signed by its own new key alone',
    actor: RELAY,
    code: 'ERR_SIGNATURE',
    async play(stage) {
      const own = await generateSigningKey('Ed25519', true)
      const { world } = stage.relay
      const authority = { keys: [own.spki], threshold: 1 }
      const { envelope } = await makeTrust(world, { authority }, [own])
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, trust: [...delivery.trust, envelope] }))
    },
  },
  {
    row: '3.1 key compromise: the next trust document signed by one of two keys that it takes',
    actor: 'relay + one authority key',
    code: 'ERR_SIGNATURE',
    async play(stage) {
      const { world } = stage.relay
      const second = await generateSigningKey('Ed25519', true)
      const keys = [...world.authority, second]
      await renewTrust(
        world,
        { authority: { keys: keys.map(({ spki }) => spki), threshold: 2 } },
        keys,
      )
      world.authority = keys
      await stage.next()
      if (stage.victim === 'held') await stage.client.refresh()
      const { envelope } = await makeTrust(world, { headLifetime: 604_800 }, [second])
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, trust: [...delivery.trust, envelope] }))
    },
  },
  {
    row: '3.2 targeted at first contact: another tenant’s complete valid world',
    actor: 'relay + other tenant',
    code: 'ERR_TENANT',
    async play(stage) {
      const other = await makeWorld({ now: stage.relay.now })
      await stage.next()
      stage.twist((delivery) => ({
        ...delivery,
        trust: stage.victim === 'new' ? other.trusts : [other.trusts[0]!],
      }))
    },
  },
]
