/** Keys on their way: substitution, relabelling, splicing, downgrade (threats 3.3), by a relay alone and with what colluders bring. */
import {
  decodeBundle,
  decodeWelcome,
  encodeName,
  encodeBundle,
  encodeWelcome,
  welcomeInfo,
  type MemberLeaf,
} from '../../../shared/bundle.ts'
import { fromBase32, fromBase64url, fromUtf8, type Bytes } from '../../../shared/bytes.ts'
import { type Envelope } from '../../../shared/envelope.ts'
import { documentHash } from '../../../shared/document-hash.ts'
import { sha256 } from '../../../shared/hash.ts'
import { createHpke } from '../../../shared/hpke.ts'
import { KEM_ID } from '../../../shared/suites.ts'
import { channelIdInput } from '../../../shared/kdf.ts'
import { subtle } from '../../../shared/platform.ts'
import { type Suite } from '../../../shared/trust.ts'
import { type Attack, type Stage } from '../../lib/hostile-stage.ts'
import { wrap } from '../../lib/publication.ts'
import { makeClient, random } from '../../lib/world.ts'

const RELAY = 'relay'
const THIEF = "relay + deriver's key"
const FELLOW = 'relay + fellow member'
const BOTH = "relay + fellow member + deriver's key"

async function mac(secret: Bytes, input: Bytes): Promise<Bytes> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await subtle().importKey('raw', secret, algorithm, false, ['sign'])
  return new Uint8Array(await subtle().sign('HMAC', key, input))
}

/** What a leaf needs so that the thief's channel opens. */
async function ownLeaf(channel: Bytes, kek: Bytes) {
  const [channelId, cell] = [await mac(channel, channelIdInput()), await wrap(channel, kek)]
  return { leaf: (leaf: MemberLeaf): MemberLeaf => ({ ...leaf, channelId, cell }) }
}

/** The newest key package of the victim. */
async function victimPackage({ store }: Stage): Promise<Envelope> {
  return (await store.read())!.packages.at(-1)!.envelope
}

/** Seals a channel key to the victim's package as a deriver would. */
async function sealToVictim(
  stage: Stage,
  channel: Bytes,
  as?: Partial<{ tenant: string }>,
): Promise<Bytes> {
  const envelope = await victimPackage(stage)
  const body = JSON.parse(fromUtf8(envelope.payload)) as { key: string; suite: Suite }
  const tenant = fromBase32(as?.tenant ?? stage.relay.world.tenant)
  const fingerprint = sha256(envelope.certificates[0]!)
  const info = welcomeInfo(tenant, fingerprint, documentHash(envelope), body.suite)
  const sealed = await createHpke(body.suite).seal(fromBase64url(body.key), channel, info)
  return encodeWelcome({ kem: KEM_ID[body.suite], ...sealed })
}

/** A bundle like the true one with entries of other secrets under a key-encryption key. */
async function bundleWith(bundle: Bytes, kek: Bytes, secrets: readonly Bytes[]): Promise<Bytes> {
  const decoded = decodeBundle(bundle)
  const entries = await Promise.all(
    decoded.entries.map(async (entry, i) => ({
      ...entry,
      wrapped: await wrap(kek, secrets[i] ?? random(32)),
    })),
  )
  return encodeBundle({ ...decoded, entries })
}

/** The key-encryption key of "notes", which every member has. */
const kekOf = ({ relay }: Stage): Bytes => relay.keyrings[0]!.kek
const secretsOf = ({ relay }: Stage): Bytes[] =>
  relay.keyrings[0]!.versions.map(({ secret }) => secret)

/** Another member of "notes". */
async function addFellow({ relay }: Stage): Promise<void> {
  relay.keyrings[0]!.members.push(await makeClient(relay.world, 'mallory'))
  await relay.publish()
}

/** Forges every delivery from the next head on. */
const forging =
  (make: (stage: Stage) => Parameters<Stage['forge']>[0]): Attack['play'] =>
  async (stage) => {
    await stage.next()
    stage.forge(make(stage))
  }

export const keys: readonly Attack[] = [
  {
    row: '3.3 re-targeting: the welcome of another member',
    actor: FELLOW,
    code: 'ERR_HASH',
    victims: ['new'],
    async play(stage) {
      await addFellow(stage)
      const fellow = stage.relay.keyrings[0]!.members.at(-1)!
      const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 }
      const id = stage.relay.keyrings[0]!.id
      const { welcome } = stage.relay.item(id, { package: fellow.packageHash, have })!
      stage.twistItem((item) => ({ ...item, welcome }))
    },
  },
  {
    row: '3.3 re-targeting: the leaf of another member, with its proof',
    actor: FELLOW,
    code: 'ERR_NOT_RECIPIENT',
    async play(stage) {
      await addFellow(stage)
      const fellow = stage.relay.keyrings[0]!.members.at(-1)!
      const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 }
      const id = stage.relay.keyrings[0]!.id
      const other = () => stage.relay.item(id, { package: fellow.packageHash, have })!
      stage.twistItem((item) => ({ ...item, member: other().member, welcome: other().welcome }))
    },
  },
  {
    row: '3.3 unknown key share: a welcome that was sealed for another package',
    actor: BOTH,
    code: 'ERR_OPEN',
    victims: ['new'],
    play(stage) {
      stage.forge(async () => ({
        welcome: await sealToVictim(stage, random(32), { tenant: 'a'.repeat(52) }),
      }))
    },
  },
  {
    row: '3.3 a channel key of its own, W1: the welcome is not that of the leaf',
    actor: RELAY,
    code: 'ERR_HASH',
    victims: ['new'],
    play(stage) {
      stage.twistItem(async (item) => ({ ...item, welcome: await sealToVictim(stage, random(32)) }))
    },
  },
  {
    row: '3.2 ghost key, W1, W20: channel, key-encryption key and version secrets all of the thief’s making',
    actor: THIEF,
    code: 'ERR_COMMITMENT',
    play(stage) {
      stage.forge(async ({ bundle }) => {
        const [channel, kek] = [random(32), random(32)]
        const name = await wrap(kek, encodeName('notes'))
        const fake = decodeBundle(await bundleWith(bundle, kek, []))
        return {
          welcome: await sealToVictim(stage, channel),
          bundle: encodeBundle({ ...fake, name }),
          ...(await ownLeaf(channel, kek)),
        }
      })
      return stage.next()
    },
  },
  {
    row: '3.2 ghost key, W1: a version secret of the thief’s making under the true key-encryption key',
    actor: BOTH,
    code: 'ERR_COMMITMENT',
    play: forging((stage) => async ({ bundle }) => ({
      bundle: await bundleWith(bundle, kekOf(stage), []),
    })),
  },
  {
    row: '3.2 ghost key: a further version that no manifest has',
    actor: BOTH,
    code: 'ERR_KEY_VERSION',
    play: forging((stage) => async ({ bundle }) => {
      const decoded = decodeBundle(bundle)
      const wrapped = await wrap(kekOf(stage), random(32))
      const entries = [...decoded.entries, { incarnation: 1, version: 99, wrapped }]
      return {
        bundle: encodeBundle({ ...decoded, entries }),
        release: (release) => ({ ...release, encrypt: { incarnation: 1, version: 99 } }),
      }
    }),
  },
  {
    row: '3.2 ghost key: a manifest of the thief’s making',
    actor: BOTH,
    code: 'ERR_HASH',
    play: forging(() => ({ manifest }) => ({
      manifest: manifest.with(manifest.length - 1, manifest.at(-1)! ^ 1),
    })),
  },
  {
    row: '3.3 fellow member who knows the key-encryption key: a bundle of its own',
    actor: FELLOW,
    code: 'ERR_HASH',
    async play(stage) {
      await stage.rotate()
      stage.twistItem(async (item) => ({
        ...item,
        bundle: await bundleWith(item.bundle, kekOf(stage), []),
      }))
    },
  },
  {
    row: '3.3 cross-version: the secrets of two versions change places in the bundle',
    actor: FELLOW,
    code: 'ERR_HASH',
    async play(stage) {
      await stage.rotate()
      stage.twistItem(async (item) => ({
        ...item,
        bundle: await bundleWith(item.bundle, kekOf(stage), secretsOf(stage).toReversed()),
      }))
    },
  },
  {
    row: '3.3 cross-version: the same under a head that names it',
    actor: BOTH,
    code: 'ERR_COMMITMENT',
    play: forging((stage) => async ({ bundle }) => ({
      bundle: await bundleWith(bundle, kekOf(stage), secretsOf(stage).toReversed()),
    })),
  },
  {
    row: '3.3 cross-keyring: the bundle of another keyring in the release',
    actor: THIEF,
    code: 'ERR_KEYRING',
    play: forging((stage) => async () => ({ bundle: stage.bundleOf(1) })),
  },
  {
    row: '3.3 cross-keyring: the release of another keyring under the name of this one',
    actor: THIEF,
    code: 'ERR_KEYRING',
    play: forging((stage) => ({
      release: (release) => ({ ...release, keyring: stage.relay.keyrings[1]!.id }),
    })),
  },
  {
    row: '3.3 cross-keyring: the manifest of another keyring in the release',
    actor: THIEF,
    code: 'ERR_HASH',
    play: forging((stage) => async () => ({ manifest: stage.manifestOf(1) })),
  },
  {
    row: '3.3 cross-generation: the bundle of the generation before',
    actor: THIEF,
    code: 'ERR_KEYRING',
    async play(stage) {
      const old = stage.bundleOf(0)
      stage.relay.keyrings[0]!.generation++
      await stage.next()
      stage.forge({ bundle: old })
    },
  },
  {
    row: '3.3 cross-incarnation: the release of another incarnation',
    actor: THIEF,
    code: 'ERR_INCARNATION',
    play: forging(() => ({ release: (release) => ({ ...release, incarnation: 2 }) })),
  },
  {
    row: '3.3 cross-tenant: the release of another tenant',
    actor: "relay + both tenants' deriver keys",
    code: 'ERR_TENANT',
    play: forging(() => ({ release: (release) => ({ ...release, tenant: `${'a'.repeat(51)}a` }) })),
  },
  {
    row: '3.3 cross-tenant: the head of another tenant',
    actor: "relay + both tenants' deriver keys",
    code: 'ERR_TENANT',
    async play(stage) {
      await stage.next()
      stage.twistHead((body) => ({ ...body, tenant: 'a'.repeat(52) }))
    },
  },
  {
    row: '3.3 spliced cell: one byte of the member leaf is changed',
    actor: RELAY,
    code: 'ERR_HASH',
    async play(stage) {
      await stage.next()
      stage.twistItem((item) => ({
        ...item,
        member: { ...item.member!, leaf: item.member!.leaf.with(130, item.member!.leaf[130]! ^ 1) },
      }))
    },
  },
  {
    row: '3.3 spliced cell: a cell of another channel under a head that names it',
    actor: THIEF,
    code: 'ERR_OPEN',
    async play(stage) {
      await stage.next()
      const cell = await wrap(random(32), random(32))
      stage.forge({ leaf: (leaf) => ({ ...leaf, cell }) })
    },
  },
  {
    row: '3.3 spliced channel: another channel id in the leaf',
    actor: THIEF,
    code: 'ERR_HASH',
    play: forging(() => ({ leaf: (leaf) => ({ ...leaf, channelId: random(32) }) })),
  },
  {
    row: '3.3 downgrade, W17: a welcome in a suite that the package does not have',
    actor: THIEF,
    code: 'ERR_SUITE',
    victims: ['new'],
    play(stage) {
      stage.forge(({ welcome }) => {
        const decoded = decodeWelcome(welcome)
        const kem = decoded.kem === KEM_ID.X25519 ? KEM_ID['P-256'] : KEM_ID.X25519
        return { welcome: encodeWelcome({ ...decoded, kem }) }
      })
    },
  },
  {
    row: '3.3 low-order X25519: an encapsulated key of zeros',
    actor: THIEF,
    code: 'ERR_OPEN',
    victims: ['new'],
    play(stage) {
      stage.forge(({ welcome }) => {
        const decoded = decodeWelcome(welcome)
        const { encapsulated } = decoded
        return {
          welcome: encodeWelcome({
            ...decoded,
            encapsulated: encapsulated.map((byte, i) => (i < encapsulated.length - 32 ? byte : 0)),
          }),
        }
      })
    },
  },
]
