/** Every key that a deriver's database stands for at present, derived with its master secret. */
import { type VersionRow } from '../../deriver/keyrings.ts'
import { currentKek } from '../../deriver/members.ts'
import { fromBase32, hex, type Bytes } from '../../shared/bytes.ts'
import { kekInput, versionInput } from '../../shared/kdf.ts'
import { versionContext } from '../../shared/manifest.ts'
import { type TestTenant } from './tenant.ts'

/** One key: where it stands, and what it is, in hex. */
export interface MadeKey {
  row: string
  secret: string
}

/** Key-encryption keys of all generations. */
export function madeKeks({ store, keys, trust }: TestTenant): MadeKey[] {
  return store
    .all<{ keyring: Bytes; incarnation: number; generation: number; salt: Bytes }>(
      'SELECT * FROM generations',
    )
    .map(({ keyring, incarnation, generation, salt }) => ({
      row: `generation ${hex(keyring)} ${incarnation} ${generation} ${hex(salt)}`,
      secret: hex(
        keys.root.mac(kekInput(fromBase32(trust.tenant), keyring, incarnation, generation, salt)),
      ),
    }))
}

/** Secrets of all versions. */
export function madeVersions({
  store,
  keys,
  trust,
}: TestTenant): (MadeKey & { keyId: string; version: VersionRow })[] {
  return store.all<VersionRow>('SELECT * FROM versions').map((version) => {
    const { keyring, nonce, salt, key_id } = version
    const context = versionContext({ tenant: fromBase32(trust.tenant), keyring }, version)
    return {
      row: `version ${hex(keyring)} ${version.incarnation} ${version.version} ${hex(nonce)} ${hex(salt)}`,
      secret: hex(
        keys.root.mac(versionInput(context, new Uint8Array(nonce), new Uint8Array(salt))),
      ),
      keyId: key_id === null ? '' : hex(key_id),
      version,
    }
  })
}

/** What a keyring encrypts under now, and its key-encryption key: secrets in hex. */
export function keysInUse(
  tenant: TestTenant,
  keyring: Bytes,
): { kek: string; version: string; keyId: string } {
  const row = tenant.store.get<{ encrypt_incarnation: number; encrypt_version: number }>(
    'SELECT encrypt_incarnation, encrypt_version FROM keyrings WHERE id = ?',
    keyring,
  )!
  const version = madeVersions(tenant).find(
    (one) =>
      hex(one.version.keyring) === hex(keyring) &&
      one.version.incarnation === row.encrypt_incarnation &&
      one.version.version === row.encrypt_version,
  )!
  const deriving = { root: tenant.keys.root, tenant: tenant.trust.tenant }
  return {
    kek: hex(currentKek(tenant.store, deriving, keyring)),
    version: version.secret,
    keyId: version.keyId,
  }
}
