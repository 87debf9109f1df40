/** The first keyring of the fixtures as an imported one: its versions carry sealed bytes. */
import { createCipheriv, hkdfSync } from 'node:crypto'
import { type Bundle } from '../../shared/bundle.ts'
import { concat, hex, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { labelInfo } from '../../shared/kdf.ts'
import { type Manifest } from '../../shared/manifest.ts'
import { bundleOf, KEYRINGS, manifestOf, secretsOf } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import { tenantBytes, type Tenant } from './fixtures.ts'

/** What is sealed: 32 random bytes, and the imported ones. */
export const contentOf = (version: number): Bytes =>
  concat(seeded(`import random ${version}`), seeded(`imported ${version}`, 16 + version))

/** Seals content under a version secret. */
export function sealed(tenant: Tenant, secret: Bytes, keyId: Bytes, content: Bytes): Bytes {
  const info = labelInfo('import', tenantBytes(tenant), KEYRINGS[0]!, keyId)
  const key = Buffer.from(hkdfSync('sha512', secret, new Uint8Array(), info, 32))
  const nonce = seeded(`import nonce ${hex(keyId)}`, 12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return concat(nonce, cipher.update(content), cipher.final(), cipher.getAuthTag())
}

export function importedOf(tenant: Tenant): { manifest: Manifest; bundle: Bundle } {
  const { versions } = secretsOf(tenant, KEYRINGS[0]!)
  const imports = versions.map(({ version, secret, keyId }) =>
    sealed(tenant, secret, keyId, contentOf(version)),
  )
  const manifest = manifestOf(tenant, KEYRINGS[0]!)
  const bundle = bundleOf(tenant, KEYRINGS[0]!)
  return {
    manifest: {
      ...manifest,
      kind: 'imported',
      versions: manifest.versions.map((one, i) => ({ ...one, importHash: sha256(imports[i]!) })),
    },
    bundle: {
      ...bundle,
      entries: bundle.entries.map((one, i) => ({ ...one, sealed: imports[i]! })),
    },
  }
}
