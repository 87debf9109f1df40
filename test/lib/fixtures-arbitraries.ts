/** Generated values of every format, and how properties are run. */
import * as fc from 'fast-check'
import { concat, utf8 } from '../../shared/bytes.ts'
import { payloadType } from '../../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { compareVersions } from '../../shared/manifest.ts'

export const RUNS = process.env['SLOW'] ? 4_000 : 200
export const check = <T>(property: fc.IProperty<T>, numRuns = RUNS) =>
  fc.assert(property, { numRuns })

export const bytesOf = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Uint8Array.from(b))
export const someBytes = (maxLength = 400) =>
  fc.uint8Array({ maxLength }).map((b) => Uint8Array.from(b))
export const u32s = fc.integer({ min: 0, max: 0xffffffff })
export const u64s = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
export const shortText = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((s) => s.isWellFormed())

/** The value, or undefined for a KeyferryError; anything else is thrown on. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof KeyferryError && isKeyferryError(error)) return undefined
    throw error
  }
}

export const canonical = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, u64s, shortText, tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc.dictionary(shortText, tie('value'), { maxKeys: 4 }),
})).value

const versionId = fc.record({
  incarnation: fc.integer({ min: 1, max: 0xffffffff }),
  version: fc.integer({ min: 1, max: 0xffffffff }),
})
const rising = <T extends { incarnation: number; version: number }>(entry: fc.Arbitrary<T>) =>
  fc
    .uniqueArray(entry, { maxLength: 6, comparator: (a, b) => compareVersions(a, b) === 0 })
    .map((list) => list.toSorted(compareVersions))

const plainManifests = fc.record({
  tenant: bytesOf(32),
  keyring: bytesOf(16),
  number: u64s,
  kind: fc.constantFrom('recoverable' as const, 'erasable' as const),
  offline: u32s,
  generationMaxAge: u32s,
  rules: fc
    .uniqueArray(fc.stringMatching(/^[!-~]{1,40}$/), { maxLength: 5 })
    .map((rules) => rules.toSorted()),
  versions: rising(
    fc
      .tuple(versionId, fc.array(u64s, { minLength: 3, maxLength: 3 }), bytesOf(16), bytesOf(32))
      .map(([id, times, nonce, keyId]) => {
        const [encryptFrom, encryptUntil, decryptUntil] = times.toSorted((a, b) => a - b)
        return {
          ...id,
          algorithm: 1,
          encryptFrom: encryptFrom!,
          encryptUntil: encryptUntil!,
          decryptUntil: decryptUntil!,
          nonce,
          // Distinct by construction: ids are.
          keyId: concat(utf8(`${id.incarnation}.${id.version}`.padEnd(22)), keyId).slice(0, 32),
        }
      }),
  ),
})
/** One in three of an imported keyring. */
export const manifests = fc.tuple(plainManifests, fc.nat({ max: 2 })).map(([manifest, kind]) =>
  kind > 0
    ? manifest
    : {
        ...manifest,
        kind: 'imported' as const,
        versions: manifest.versions.map((one) => ({ ...one, importHash: one.keyId.toReversed() })),
      },
)
const plainBundles = fc.record({
  keyring: bytesOf(16),
  incarnation: u32s,
  generation: u64s,
  name: bytesOf(72),
  entries: rising(fc.tuple(versionId, bytesOf(40)).map(([id, wrapped]) => ({ ...id, wrapped }))),
})
export const bundles = fc
  .tuple(plainBundles, fc.integer({ min: 70, max: 572 }))
  .map(([bundle, length]) =>
    length < 76
      ? bundle
      : {
          ...bundle,
          entries: bundle.entries.map((one) => ({
            ...one,
            sealed: new Uint8Array(length).fill(7),
          })),
        },
  )
export const welcomes = fc.record({
  kem: fc.integer({ min: 0, max: 0xffff }),
  encapsulated: someBytes(1_200),
  ciphertext: bytesOf(48),
})
export const members = fc.record({
  packageHash: bytesOf(32),
  channelId: bytesOf(32),
  welcomeHash: bytesOf(32),
  cell: bytesOf(40),
})
export const envelopes = fc.record({
  certificates: fc.array(
    someBytes().filter((b) => b.length > 0),
    { maxLength: 4 },
  ),
  payload: someBytes().filter((b) => b.length > 1),
  payloadType: fc.constantFrom(payloadType('trust'), payloadType('head'), payloadType('request')),
  signatures: fc.array(fc.record({ keyid: bytesOf(32), sig: bytesOf(64) }), {
    minLength: 1,
    maxLength: 3,
  }),
})
const proofs = fc.record({ index: u32s, path: fc.array(bytesOf(32), { maxLength: 3 }) })
const fullBytes = someBytes().filter((b) => b.length > 0)
export const deliveries = fc.record({
  catalog: fc.option(envelopes),
  crls: fc.array(fullBytes, { maxLength: 3 }),
  head: envelopes,
  keyrings: fc.array(
    fc.record({
      bundle: someBytes(),
      keyring: bytesOf(16),
      manifest: someBytes(),
      manifestProof: proofs,
      member: fc.option(fc.record({ leaf: bytesOf(136), proof: proofs })),
      release: fullBytes,
      releaseProof: proofs,
      welcome: someBytes(),
    }),
    { maxLength: 3 },
  ),
  refusals: fc.array(envelopes, { maxLength: 2 }),
  trust: fc.array(envelopes, { maxLength: 2 }),
})
const treeHeads = fc.record({ index: bytesOf(32), root: bytesOf(32), size: u32s })
export const releases = fc.record({
  bundle: bytesOf(32),
  compromised: rising(versionId),
  deactivated: rising(versionId),
  encrypt: versionId,
  generation: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  incarnation: fc.integer({ min: 1, max: 0xffffffff }),
  keyring: bytesOf(16),
  log: fc.nat(),
  manifest: bytesOf(32),
  members: treeHeads,
  skipped: rising(versionId),
  tenant: fc.stringMatching(/^[a-z2-7]{52}$/),
})
