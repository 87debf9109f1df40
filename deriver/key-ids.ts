/** Key ids derived once more, and held against those that the authority signed: whether a master secret and the salts of a database still give every key. */
import { equal, fromBase32, hex } from '../shared/bytes.ts'
import { versionInput } from '../shared/kdf.ts'
import { decodeManifest, versionContext } from '../shared/manifest.ts'
import { commit, type Root } from './root.ts'
import { type KeyringRow, type VersionRow } from './rows.ts'
import { type Store } from './store.ts'

/** What became of one version. */
export interface KeyIdCheck {
  keyring: string
  incarnation: number
  version: number
  /** Hex; public, as in the manifest. */
  keyId: string
  /**
   * `reproduced`: it is the one of the signed manifest; `unsigned`: no manifest has it yet; `destroyed`: its salt is gone, as it should be; `wrong`: it is another
   * key.
   */
  result: 'reproduced' | 'unsigned' | 'destroyed' | 'wrong'
}

/** Key ids of the manifest that was published last, by `incarnation.version`. */
function signedIds(store: Store, { manifest }: KeyringRow): Map<string, string> {
  const object =
    manifest === null
      ? undefined
      : store.get<{ body: Uint8Array }>('SELECT body FROM objects WHERE hash = ?', manifest)
  if (object === undefined) return new Map()
  const { versions } = decodeManifest(new Uint8Array(object.body))
  return new Map(versions.map((one) => [`${one.incarnation}.${one.version}`, hex(one.keyId)]))
}

/**
 * Derives the key ids of all versions, or of those named `NAME` or `NAME@VERSION`. Nothing is kept: each secret is erased as soon as its id is there. Throws what a
 * root throws.
 */
export async function checkKeyIds(
  store: Store,
  root: Root,
  tenant: string,
  names: readonly string[] = [],
): Promise<KeyIdCheck[]> {
  const out: KeyIdCheck[] = []
  for (const ring of store.all<KeyringRow>('SELECT * FROM keyrings ORDER BY name')) {
    const signed = signedIds(store, ring)
    const rows = store.all<VersionRow>(
      'SELECT * FROM versions WHERE keyring = ? AND key_id IS NOT NULL ORDER BY incarnation, version',
      ring.id,
    )
    for (const row of rows) {
      const { incarnation, version } = row
      const isNamed = [
        ring.name,
        `${ring.name}@${version}`,
        `${ring.name}@${incarnation}.${version}`,
      ]
      if (names.length > 0 && !names.some((one) => isNamed.includes(one))) continue
      const isDestroyed = row.state === 'destroying' || row.state === 'destroyed'
      const own = new Uint8Array(row.key_id!)
      let result: KeyIdCheck['result'] = 'destroyed'
      if (!isDestroyed) {
        const context = versionContext({ tenant: fromBase32(tenant), keyring: ring.id }, row)
        const input = versionInput(context, new Uint8Array(row.nonce), new Uint8Array(row.salt))
        const secret = await root.ask(input, row.root)
        const id = commit(secret, context)
        secret.fill(0)
        const said = signed.get(`${incarnation}.${version}`)
        const isOwn = equal(id, own) && (said === undefined || said === hex(id))
        result = !isOwn ? 'wrong' : said === undefined ? 'unsigned' : 'reproduced'
      }
      out.push({ keyring: ring.name, incarnation, version, keyId: hex(own), result })
    }
  }
  return out
}

/** Names of versions that were asked for and are not there. */
export function unknownNames(checks: readonly KeyIdCheck[], names: readonly string[]): string[] {
  return names.filter(
    (name) =>
      !checks.some(
        ({ keyring, incarnation, version }) =>
          name === keyring ||
          name === `${keyring}@${version}` ||
          name === `${keyring}@${incarnation}.${version}`,
      ),
  )
}
