/** Vectors of the fixed layouts, releases and bodies of deliveries. */
import { encodeBundle, encodeWelcome } from '../../shared/bundle.ts'
import { concat, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { releaseLeaf } from '../../shared/log.ts'
import { encodeManifest } from '../../shared/manifest.ts'
import { bundleOf, KEYRINGS, manifestOf, type World } from './fixtures-delivery.ts'
import { encodedEntries } from './log-entries.ts'
import { importedOf } from './fixtures-imported.ts'
import { seeded } from './fixtures-keys.ts'
import { deliveryBodies } from './fixtures-vectors-bodies.ts'
import { plain, vector, type Vector } from './fixtures-vectors.ts'

export function formatVectors(world: World): object {
  const made = manifestOf(world.tenant, KEYRINGS[0]!)
  const manifest = encodeManifest(made)
  const own = bundleOf(world.tenant, KEYRINGS[0]!)
  const bundle = encodeBundle(own)
  const imported = importedOf(world.tenant)
  const imports = {
    manifest: encodeManifest(imported.manifest),
    bundle: encodeBundle(imported.bundle),
  }
  const welcome = encodeWelcome({
    kem: 32,
    encapsulated: seeded('enc'),
    ciphertext: seeded('ct', 48),
  })
  const release = {
    bundle: sha256(bundle),
    compromised: [],
    deactivated: [{ incarnation: 1, version: 1 }],
    encrypt: { incarnation: 1, version: 2 },
    generation: 3,
    incarnation: 1,
    keyring: KEYRINGS[0]!,
    log: 40,
    manifest: sha256(manifest),
    members: { index: seeded('index'), root: seeded('root'), size: 1_000 },
    skipped: [],
    tenant: world.tenant.trust.tenant,
  }
  const swap = (bytes: Bytes, size: number) =>
    concat(bytes.slice(0, -2 * size), bytes.slice(-size), bytes.slice(-2 * size, -size))
  const item = (
    format: string,
    comment: string,
    bytes: Bytes,
    expect: Vector['expect'],
    output?: unknown,
  ) => vector(comment, { format, bytes: hex(bytes) }, expect, output)
  const KIND = 64
  const spoil = (format: string, bytes: Bytes) => [
    item(format, '[dec-4] another magic', bytes.with(7, 2), 'ERR_MALFORMED'),
    item(format, '[dec-4] a byte too few', bytes.slice(0, -1), 'ERR_MALFORMED'),
    item(format, '[dec-4] a byte too many', concat(bytes, Uint8Array.of(0)), 'ERR_MALFORMED'),
  ]
  return {
    cases: [
      item('manifest', 'a manifest', manifest, 'ok', plain(made)),
      ...spoil('manifest', manifest),
      item('manifest', '[manifest-1] versions out of order', swap(manifest, 84), 'ERR_SCHEMA'),
      item(
        'manifest',
        '[manifest-1] windows that do not nest',
        manifest.with(-168 + 15 + manifest.length, 1),
        'ERR_SCHEMA',
      ),
      item('manifest', '[manifest-2] kind 4', manifest.with(KIND, 4), 'ERR_UNSUPPORTED'),
      item('manifest', 'of an imported keyring', imports.manifest, 'ok', plain(imported.manifest)),
      item(
        'manifest',
        '[dec-4] of an imported keyring, by its kind alone',
        manifest.with(KIND, 3),
        'ERR_MALFORMED',
      ),
      item(
        'manifest',
        '[manifest-2] algorithm 2',
        manifest.with(-168 + 11 + manifest.length, 2),
        'ERR_UNSUPPORTED',
      ),
      item('bundle', 'a bundle', bundle, 'ok', plain(own)),
      ...spoil('bundle', bundle),
      item('bundle', '[bundle-1] entries out of order', swap(bundle, 48), 'ERR_SCHEMA'),
      item('bundle', 'of an imported keyring', imports.bundle, 'ok', plain(imported.bundle)),
      ...spoil('bundle', imports.bundle),
      ...[75, 573].map((length) =>
        item(
          'bundle',
          `[bundle-1] a sealed import of ${length} bytes`,
          encodeBundle({
            ...own,
            entries: own.entries.map((one) => ({ ...one, sealed: seeded('sealed', length) })),
          }),
          'ERR_MALFORMED',
        ),
      ),
      item('welcome', 'a welcome', welcome, 'ok', {
        kem: 32,
        encapsulated: hex(seeded('enc')),
        ciphertext: hex(seeded('ct', 48)),
      }),
      ...spoil('welcome', welcome),
      item('release', 'a release', encodeJson(release), 'ok', plain(release)),
      item(
        'release',
        '[dec-3] a list that does not rise',
        encodeJson({ ...release, skipped: [release.encrypt, release.encrypt] }),
        'ERR_SCHEMA',
      ),
      item(
        'release',
        '[dec-3] a field too many',
        encodeJson({ ...release, more: 1 }),
        'ERR_SCHEMA',
      ),
      item(
        'release',
        '[dec-2] white space',
        concat(encodeJson(release), utf8(' ')),
        'ERR_NOT_CANONICAL',
      ),
      item('release entry', 'the entry of a release', encodeJson(release), 'ok', {
        entry: hex(releaseLeaf(release)),
      }),
      item('entry', '[log-1] a release', releaseLeaf(release), 'ok'),
      item(
        'entry',
        '[log-1] a release with its index',
        encodeJson({ event: 'released', release }),
        'ERR_SCHEMA',
      ),
      ...encodedEntries().map(([event, leaf]) => item('entry', `[log-1] ${event}`, leaf, 'ok')),
      item('entry', '[log-1] white space', utf8('{"event":"released" }'), 'ERR_NOT_CANONICAL'),
      item('entry', '[log-1] another event', encodeJson({ event: 'x', time: 1 }), 'ERR_SCHEMA'),
      item(
        'entry',
        '[log-1] a field too few',
        encodeJson({ event: 'device-denied', time: 1, uri: '' }),
        'ERR_SCHEMA',
      ),
      ...deliveryBodies((...given) => item('delivery', ...given)),
    ],
  }
}
