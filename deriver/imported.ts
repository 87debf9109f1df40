/** Imported bytes at rest and on their way: sealed under the version secret (docs/PROTOCOL.md, "Imported keys"). */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { concat, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { importInfo } from '../shared/kdf.ts'
import { type Manifest } from '../shared/manifest.ts'
import { type VersionRow } from './keyrings.ts'
import { random } from './random.ts'
import { type Store } from './store.ts'

type Names = Pick<Manifest, 'tenant' | 'keyring'>

function sealKey(secret: Bytes, { tenant, keyring }: Names, keyId: Bytes): Buffer {
  const info = importInfo(tenant, keyring, keyId)
  return Buffer.from(hkdfSync('sha512', secret, new Uint8Array(), info, 32))
}

/** Seals imported bytes under a version secret. */
export function sealImport(secret: Bytes, bytes: Bytes, names: Names, keyId: Bytes): Bytes {
  const nonce = random(12)
  const cipher = createCipheriv('aes-256-gcm', sealKey(secret, names, keyId), nonce)
  return concat(
    nonce,
    cipher.update(concat(random(32), bytes)),
    cipher.final(),
    cipher.getAuthTag(),
  )
}

/** The imported bytes themselves. Throws `ERR_OPEN`. */
export function openImport(secret: Bytes, sealed: Bytes, names: Names, keyId: Bytes): Bytes {
  const key = sealKey(secret, names, keyId)
  try {
    const opener = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    opener.setAuthTag(sealed.subarray(-16))
    return concat(opener.update(sealed.subarray(12, -16)), opener.final()).slice(32)
  } catch (cause) {
    throw new KeyferryError('ERR_OPEN', 'an import is not sealed under its version', { cause })
  }
}

/** Writes the sealed import of a version. Call it in a transaction. */
export function saveImport(
  store: Store,
  { keyring, incarnation, version }: Pick<VersionRow, 'keyring' | 'incarnation' | 'version'>,
  sealed: Bytes,
): void {
  store.run(
    'UPDATE versions SET sealed = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
    sealed,
    keyring,
    incarnation,
    version,
  )
}
