/** Which version of a keyring may be used now (docs/PROTOCOL.md, "Using a key"). Times are seconds, by the client's clock. */
import { type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { type BundleEntry } from './bundle.ts'
import { compareVersions, type VersionId } from './manifest.ts'
import { type Accepted, type KeyringView } from './open.ts'
import { type Release } from './release.ts'

function lists(list: readonly VersionId[], id: VersionId): boolean {
  return list.some((one) => compareVersions(one, id) === 0)
}

/** Whether nothing is encrypted under a version any more. */
function isRetired({ compromised, deactivated, skipped }: Release, id: VersionId): boolean {
  return lists([...compromised, ...deactivated, ...skipped], id)
}

function bundled(view: KeyringView, id: VersionId): BundleEntry {
  const entry = view.bundle.entries.find(id)
  if (entry === undefined)
    throw new KeyferryError('ERR_KEY_VERSION', 'the version is not in the bundle')
  return entry
}

/** Throws `ERR_CLOCK` when the clock is before the accepted head: one that was set back would keep old keys alive. */
export function requireClock({ head, trust }: Accepted, now: number): void {
  // PROTOCOL [use-5]
  if (now + trust.body.skew < head.issuedAt) throw new KeyferryError('ERR_CLOCK')
}

/** The bundle entry to encrypt with. Throws `ERR_STALE`, `ERR_KEY_VERSION`. */
export function versionToEncrypt(view: KeyringView, accepted: Accepted, now: number): BundleEntry {
  const { skew, expiresAt } = accepted.trust.body
  // PROTOCOL [use-1]
  const limit = Math.min(accepted.head.expiresAt, accepted.catalog.body.expiresAt, expiresAt)
  if (now > limit + skew)
    throw new KeyferryError('ERR_STALE', 'the signed state is too old to encrypt under')
  // PROTOCOL [use-2]
  const { encrypt, incarnation } = view.release
  const version = view.manifest.versions.find(encrypt)
  if (
    version === undefined ||
    version.incarnation !== incarnation ||
    isRetired(view.release, encrypt) ||
    now < version.encryptFrom ||
    now > version.encryptUntil
  ) {
    throw new KeyferryError('ERR_KEY_VERSION', 'no version may be encrypted under now')
  }
  return bundled(view, version)
}

/**
 * Whether the version of a key id may not encrypt any more: it is compromised, deactivated or skipped, below the version that the release
 * encrypts with, of another incarnation, or past its `encryptUntil`. Throws `ERR_UNKNOWN_KEY`.
 */
export function needsRewrap(
  { manifest, release }: KeyringView,
  keyId: Bytes,
  now: number,
): boolean {
  // PROTOCOL [use-6]
  const version = manifest.versions.findKey(keyId)
  if (version === undefined) throw new KeyferryError('ERR_UNKNOWN_KEY')
  const { encrypt, incarnation } = release
  return (
    isRetired(release, version) ||
    version.version < encrypt.version ||
    version.incarnation !== incarnation ||
    now > version.encryptUntil
  )
}

/**
 * The bundle entry that decrypts messages of a key id. `minVersion` refuses versions below it.
 * Throws `ERR_STALE`, `ERR_UNKNOWN_KEY`, `ERR_KEY_VERSION`.
 */
export function versionToDecrypt(
  view: KeyringView,
  accepted: Accepted,
  keyId: Bytes,
  now: number,
  minVersion = 0,
): BundleEntry {
  const { skew } = accepted.trust.body
  // PROTOCOL [use-3]
  if (now > accepted.head.expiresAt + skew + view.manifest.offline) {
    throw new KeyferryError('ERR_STALE', 'offline for longer than the keyring allows')
  }
  // PROTOCOL [use-4]
  const version = view.manifest.versions.findKey(keyId)
  if (version === undefined) throw new KeyferryError('ERR_UNKNOWN_KEY')
  // What is no number refuses all.
  if (!(version.version >= minVersion))
    throw new KeyferryError('ERR_KEY_VERSION', `version ${version.version} is below ${minVersion}`)
  if (
    lists(view.release.skipped, version) ||
    now > version.decryptUntil ||
    now < version.encryptFrom - skew
  ) {
    throw new KeyferryError('ERR_KEY_VERSION', 'this version may not be used now')
  }
  return bundled(view, version)
}
