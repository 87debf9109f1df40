/** Manifests and bundles of tests as clients read them, also such as no encoding has. */
import { encodeBundle, readBundle, type Bundle, type BundleView } from '../../shared/bundle.ts'
import { equal } from '../../shared/bytes.ts'
import {
  compareVersions,
  type Manifest,
  type ManifestView,
  type VersionId,
} from '../../shared/manifest.ts'

const finder =
  <T extends VersionId>(all: readonly T[]) =>
  (id: VersionId): T | undefined =>
    all.find((one) => compareVersions(one, id) === 0)

/** A manifest as a client reads it, whatever it says. */
export function manifestView(manifest: Manifest): ManifestView {
  const all = manifest.versions
  const findKey: ManifestView['versions']['findKey'] = (keyId) =>
    all.find((one) => equal(one.keyId, keyId))
  return { ...manifest, versions: { all: () => all, find: finder(all), findKey } }
}

/** The same with other versions. */
export function withVersions(
  { versions, ...fields }: ManifestView,
  edit: (all: Manifest['versions']) => Manifest['versions'],
): ManifestView {
  return manifestView({ ...fields, versions: edit(versions.all()) })
}

/** A bundle as a client reads it. */
export function bundleView(bundle: Bundle): BundleView {
  return readBundle(encodeBundle(bundle))
}
