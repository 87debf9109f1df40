/** Vectors of what is sealed and wrapped: welcomes, cells, bundles and a message. */
import { hkdfSync } from 'node:crypto'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { decodeWelcome, encodeBundle, encodeWelcome } from '../../shared/bundle.ts'
import { hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { messageInfo } from '../../shared/kdf.ts'
import { encodeManifest } from '../../shared/manifest.ts'
import { encryptMessage } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import {
  bundleOf,
  channelOf,
  KEYRINGS,
  manifestOf,
  secretsOf,
  type World,
} from './fixtures-delivery.ts'
import { contentOf, importedOf, sealed } from './fixtures-imported.ts'
import { seeded } from './fixtures-keys.ts'
import { recipientJson } from './fixtures-vectors-delivery.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { tenantBytes } from './fixtures.ts'

export function welcomeVectors(world: World): object {
  const cases = ['bob', 'alice', 'carol'].flatMap((name, i): Vector[] => {
    const device = world.members[i]!
    const { packageHash, key, id, welcome } = channelOf(world.tenant, device)
    const { suite } = device.recipient
    const input = {
      ...recipientJson(device, name),
      tenant: world.tenant.trust.tenant,
      fingerprint: hex(device.fingerprint),
      packageHash: hex(packageHash),
      welcome: hex(welcome),
      welcomeHash: hex(sha256(welcome)),
      channelId: hex(id),
    }
    const changed = welcome.with(-1 + welcome.length, welcome.at(-1)! ^ 1)
    const relabelled = encodeWelcome({
      ...decodeWelcome(welcome),
      kem: suite === 'X25519' ? 16 : 32,
    })
    const of = (bytes: Bytes) => ({
      ...input,
      welcome: hex(bytes),
      welcomeHash: hex(sha256(bytes)),
    })
    return [
      vector(suite, input, 'ok', { channelKey: hex(key) }),
      vector(
        `[open-15] ${suite}, another welcome`,
        { ...input, welcome: hex(changed) },
        'ERR_HASH',
      ),
      vector(`[open-15] ${suite}, changed`, of(changed), 'ERR_OPEN'),
      vector(`[open-15] ${suite}, another suite`, of(relabelled), 'ERR_SUITE'),
      vector(
        `[open-15] ${suite}, for another certificate`,
        { ...input, fingerprint: hex(seeded('x')) },
        'ERR_OPEN',
      ),
      vector(
        `[open-15] ${suite}, for another package`,
        { ...input, packageHash: hex(seeded('x')) },
        'ERR_OPEN',
      ),
      vector(
        `[open-16] ${suite}, another channel`,
        { ...input, channelId: hex(seeded('x')) },
        'ERR_HASH',
      ),
    ]
  })
  return {
    comment:
      'privateKey: X25519 and P-256 32 bytes; X-Wing the 64-byte seed of ML-KEM-768 and 32 bytes of X25519',
    cases,
  }
}

/** Chunked-encryption keys another way: node:crypto's HKDF. */
async function sealMessage(
  world: World,
  version: number,
  context: Bytes,
  text: string,
  source?: Bytes,
): Promise<Bytes> {
  const own = secretsOf(world.tenant, KEYRINGS[0]!).versions[version - 1]!
  const info = messageInfo(tenantBytes(world.tenant), KEYRINGS[0]!, own.keyId)
  const raw = new Uint8Array(hkdfSync('sha512', source ?? own.secret, new Uint8Array(), info, 32))
  const algorithm = { name: 'HMAC', hash: 'SHA-512' }
  const key = await subtle().importKey('raw', raw, algorithm, false, ['sign'])
  return encryptMessage(key, own.keyId, context, seeded('message salt', 24), utf8(text))
}

export async function keyVectors(world: World): Promise<object> {
  const { tenant, alice } = world
  const channel = channelOf(tenant, alice)
  const { kek, versions } = secretsOf(tenant, KEYRINGS[0]!)
  const manifest = manifestOf(tenant, KEYRINGS[0]!)
  const bundle = bundleOf(tenant, KEYRINGS[0]!)
  const context = utf8('order/17')
  const input = {
    channelKey: hex(channel.key),
    cell: hex(wrapKey(channel.key, kek)),
    manifest: hex(encodeManifest(manifest)),
    bundle: hex(encodeBundle(bundle)),
    message: hex(await sealMessage(world, 2, context, 'Hello')),
    context: hex(context),
    name: 'notes',
  }
  const changed = input.message.replace(/.$/, (c) => (c === '0' ? '1' : '0'))
  const entries = bundle.entries.map((e) => ({ ...e, wrapped: bundle.entries[0]!.wrapped }))
  const third = [...bundle.entries, { ...bundle.entries[1]!, version: 3 }]
  const withBundle = (list: typeof entries) => hex(encodeBundle({ ...bundle, entries: list }))
  const imported = importedOf(tenant)
  const importInput = {
    ...input,
    manifest: hex(encodeManifest(imported.manifest)),
    bundle: hex(encodeBundle(imported.bundle)),
    message: hex(await sealMessage(world, 2, context, 'Hello', contentOf(2))),
  }
  /** With other sealed imports, and the hashes that the manifest has for them, or others. */
  const withImports = (list: Bytes[], hashes: Bytes[]) => ({
    ...importInput,
    manifest: hex(
      encodeManifest({
        ...imported.manifest,
        versions: imported.manifest.versions.map((v, i) => ({ ...v, importHash: hashes[i]! })),
      }),
    ),
    bundle: hex(
      encodeBundle({
        ...imported.bundle,
        entries: imported.bundle.entries.map((e, i) => ({ ...e, sealed: list[i]! })),
      }),
    ),
  })
  const own = imported.bundle.entries.map((e) => e.sealed!)
  const ownHashes = own.map((one) => sha256(one))
  const chosen = versions.map((v) => sealed(tenant, v.secret, v.keyId, seeded('chosen', 48)))
  const elsewhere = [own[1]!, own[0]!]
  const output = {
    kek: hex(kek),
    name: 'notes',
    versions: versions.map((v) => ({ secret: hex(v.secret), keyId: hex(v.keyId) })),
    text: 'Hello',
  }
  return {
    comment:
      'From a channel key to the text of a message: cell, the name that the app config has, every version of the bundle, message, of which `range` names the bytes wanted.',
    cases: [
      vector('a message of version 2', input, 'ok', output),
      vector(
        '[open-17] a changed cell',
        { ...input, cell: input.cell.replace(/^./, (c) => (c === '0' ? '1' : '0')) },
        'ERR_OPEN',
      ),
      vector('[bundle-2] under another name', { ...input, name: 'orders' }, 'ERR_KEYRING'),
      vector(
        '[open-19] a version under another key',
        {
          ...input,
          bundle: withBundle(bundle.entries.map((e) => ({ ...e, wrapped: seeded('x', 40) }))),
        },
        'ERR_OPEN',
      ),
      vector(
        '[open-19] a version that the manifest does not know',
        { ...input, bundle: withBundle(third) },
        'ERR_KEY_VERSION',
      ),
      vector(
        '[open-20] one secret in two places',
        { ...input, bundle: withBundle(entries) },
        'ERR_COMMITMENT',
      ),
      vector('a message under an imported key', importInput, 'ok', {
        ...output,
        versions: versions.map((v) => ({
          content: hex(contentOf(v.version)),
          keyId: hex(v.keyId),
        })),
      }),
      vector(
        '[import-1] another import, sealed under the version secret',
        withImports(chosen, ownHashes),
        'ERR_COMMITMENT',
      ),
      vector(
        '[import-1] an import in the bundle that the manifest does not know',
        { ...importInput, manifest: input.manifest },
        'ERR_COMMITMENT',
      ),
      vector(
        '[import-1] no import where the manifest has one',
        { ...importInput, bundle: input.bundle },
        'ERR_COMMITMENT',
      ),
      vector(
        '[import-2] the imports of two versions in the place of each other',
        withImports(
          elsewhere,
          elsewhere.map((one) => sha256(one)),
        ),
        'ERR_OPEN',
      ),
      vector(
        '[message-2] a message under the version secret where a key was imported',
        { ...importInput, message: input.message },
        'ERR_OPEN',
      ),
      vector(
        '[message-1] no message',
        { ...input, message: input.message.slice(2) },
        'ERR_MALFORMED',
      ),
      vector('[message-2] another context', { ...input, context: '' }, 'ERR_OPEN'),
      vector('[message-2] a changed message', { ...input, message: changed }, 'ERR_OPEN'),
      vector('[message-3] a range of a message', { ...input, range: [1, 3] }, 'ok', {
        ...output,
        text: 'el',
      }),
      vector(
        '[message-3] a range of a message whose end is cut off',
        { ...input, message: input.message.slice(0, -2), range: [1, 3] },
        'ERR_OPEN',
      ),
    ],
  }
}
