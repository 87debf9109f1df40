/**
 * Key files: `keys/NAME.json` in a deriver's directory. Each key is a file of its own, so that one can be moved offline, or given to an
 * enrolment service, without the others.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Bytes, utf8 } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { type Issuer } from '../shared/issue.ts'
import { type AnySigningKey, type SigningKey } from '../shared/signature.ts'
import { readReference } from './key-reference.ts'
import { pkcs11SigningKey } from './pkcs11-keys.ts'
import { isSealed, readKeyFile } from './secret.ts'

/** Key files of a directory. */
export const KEY_FILES = [
  'master',
  'authority',
  // Signs heads, where it stays the same: in an HSM.
  'deriver',
  'ca-root',
  'ca-deriver',
  'ca-client',
  // An issuing CA that waits for its trust document, and one that was replaced and only signs CRLs.
  'ca-deriver-next',
  'ca-client-next',
  'ca-deriver-old',
  'ca-client-old',
] as const
/** Name of a key file, which is also its purpose. */
export type KeyName = (typeof KEY_FILES)[number]
/** Those that hold a CA. */
export type CaName = Extract<KeyName, `ca-${string}`>

/** Path of a key file. */
export function keyPath(directory: string, name: KeyName): string {
  return keyFilePath(directory, name)
}

/** Path of a key file of any name, such as that of a further root. */
export function keyFilePath(directory: string, name: string): string {
  return join(directory, 'keys', `${name}.json`)
}

/** Whether a key file of this name is read as the key of something else than a root: an authority, a CA, the cards. */
export function isReserved(name: string): boolean {
  const others: readonly string[] = [...KEY_FILES.filter((one) => one !== 'master'), 'backup-key']
  return others.includes(name) || /^(authority|ca)-/.test(name)
}

/** Whether any key file of a directory needs a passphrase. Throws `ERR_IO`. */
export function hasSealed(directory: string): boolean {
  const folder = join(directory, 'keys')
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .some((name) => isSealed(join(folder, name)))
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${folder} cannot be read`, { cause })
  }
}

/** A signing key as it stands in a key file: PKCS#8. */
export async function exportKey(key: SigningKey): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey('pkcs8', key.key))
}

/** A private key as PKCS#8 (DER), P-256 or Ed25519, with the public key that belongs to it. Throws `ERR_IO`. */
export async function importPrivateKey(pkcs8: Bytes): Promise<SigningKey> {
  try {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
    const spki = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }))
    const alg = key.asymmetricKeyType === 'ed25519' ? 'Ed25519' : 'ES256'
    const algorithm =
      alg === 'Ed25519' ? { name: 'Ed25519' } : { name: 'ECDSA', namedCurve: 'P-256' }
    return {
      alg,
      key: await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
      spki,
    }
  } catch (cause) {
    throw new KeyferryError('ERR_IO', 'not an Ed25519 or P-256 private key', { cause })
  }
}

/** Reads a signing key. Throws `ERR_IO`, `ERR_PASSPHRASE`. */
export async function readSigningKey(
  directory: string,
  name: KeyName,
  passphrase: string | null,
): Promise<SigningKey> {
  return importPrivateKey(readKeyFile(keyPath(directory, name), name, passphrase))
}

/** The authority keys of a directory: `authority.json`, `authority-2.json` and so on; none where they are kept elsewhere. Throws `ERR_IO`, `ERR_PASSPHRASE`. */
export async function readAuthorityKeys(
  directory: string,
  passphrase: string | null,
): Promise<AnySigningKey[]> {
  const names = readdirSync(join(directory, 'keys')).filter((name) =>
    /^authority(-[a-z0-9-]+)?\.json$/.test(name),
  )
  return Promise.all(
    names
      .toSorted()
      .map((name) =>
        openSigningKey(directory, join(directory, 'keys', name), 'authority', passphrase),
      ),
  )
}

/** A signing key in a key file, or in the HSM that the file refers to. Throws `ERR_IO`, `ERR_PASSPHRASE`, and what an HSM throws. */
export async function openSigningKey(
  directory: string,
  path: string,
  purpose: string,
  passphrase: string | null,
): Promise<AnySigningKey> {
  const place = readReference(path, purpose)
  if (place !== null) return pkcs11SigningKey(place, directory)
  return importPrivateKey(readKeyFile(path, purpose, passphrase))
}

interface CaFile {
  certificate: string
  key: string
}

/** Contents of the key file of a CA. */
export async function encodeCa({ key, certificate }: Issuer): Promise<Bytes> {
  const encode = (data: Uint8Array): string => Buffer.from(data).toString('base64url')
  return utf8(
    JSON.stringify({ certificate: encode(certificate), key: encode(await exportKey(key)) }),
  )
}

/** Reads a built-in CA: its key and certificate. Throws `ERR_IO`, `ERR_PASSPHRASE`. */
export async function readCa(
  directory: string,
  name: CaName,
  passphrase: string | null,
): Promise<Issuer> {
  const file = JSON.parse(
    new TextDecoder().decode(readKeyFile(keyPath(directory, name), name, passphrase)),
  ) as CaFile
  const key = await importPrivateKey(new Uint8Array(Buffer.from(file.key, 'base64url')))
  return { key, certificate: new Uint8Array(Buffer.from(file.certificate, 'base64url')) }
}
