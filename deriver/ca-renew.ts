/**
 * Replacing a built-in issuing CA: the root signs a new one, a trust document with both anchors goes out, the new one takes over, and the old one
 * signs revocation lists until its last certificate is over.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { equal, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { encodePem } from '../shared/pem.ts'
import { OID_NAME_CONSTRAINTS } from '../shared/x509.ts'
import { keyPath, readCa, type CaName } from './key-files.ts'
import {
  nameValues,
  readExtension,
  readLenient,
  readUriConstraints,
} from './lenient-certificate.ts'
import { readKeyFile, writeKeyFile } from './secret.ts'
import { caStorePath, openCaStore, type Store } from './store.ts'
import { makeRoleCa } from './tenant.ts'
import { newestTrust } from './trust.ts'

/** Role of a built-in issuing CA. */
export type CaRole = 'deriver' | 'client'

/** Path of the public certificate of a CA. */
export function certificatePath(directory: string, name: 'ca-root' | `ca-${CaRole}-next`): string {
  return join(directory, `${name}.pem`)
}

/** Makes the next issuing CA of a role and returns the path of its certificate. Throws `ERR_NOT_FOUND`, `ERR_EXISTS`, `ERR_IO`, `ERR_PASSPHRASE`. */
export async function renewCa(
  directory: string,
  role: CaRole,
  passphrase: string | null,
  now: number,
): Promise<string> {
  for (const name of ['ca-root', `ca-${role}`] as const) {
    if (!existsSync(keyPath(directory, name)))
      throw new KeyferryError('ERR_NOT_FOUND', `${keyPath(directory, name)} is needed to renew it`)
  }
  const root = await readCa(directory, 'ca-root', passphrase)
  const present = await readCa(directory, `ca-${role}`, passphrase)
  const read = readLenient(present.certificate)
  const [organization] = nameValues(read.subject, '2.5.4.10')
  const host = readExtension(read, OID_NAME_CONSTRAINTS, readUriConstraints)?.permitted[0]
  if (organization === undefined || host === undefined)
    throw new KeyferryError('ERR_CERT_PROFILE', `the ${role} CA is not one that keyferry made`)
  const named = { organization, host, algorithm: present.key.alg }
  const { file, issuer } = await makeRoleCa(root, role, named, now)
  const name = `ca-${role}-next` as const
  writeKeyFile(keyPath(directory, name), file, name, passphrase)
  const path = certificatePath(directory, name)
  writeFileSync(path, encodePem('CERTIFICATE', issuer.certificate))
  return path
}

/**
 * Lets the next issuing CA take over, once the trust document in force anchors it: before, nobody would take what it issues.
 * Throws `ERR_NOT_FOUND`, `ERR_TRUST_DOCUMENT`, `ERR_EXISTS`.
 */
export async function activateCa(
  store: Store,
  directory: string,
  role: CaRole,
  passphrase: string | null,
): Promise<void> {
  const path = (name: `ca-${CaRole}${'' | '-next' | '-old'}`): string => keyPath(directory, name)
  if (!existsSync(path(`ca-${role}-next`)))
    throw new KeyferryError('ERR_NOT_FOUND', `no next CA: keyferry ca renew ${role} makes one`)
  const next = await readCa(directory, `ca-${role}-next`, passphrase)
  const { body } = await newestTrust(store)
  if (!body[`${role}s`].anchors.some((anchor) => equal(anchor, next.certificate)))
    throw new KeyferryError(
      'ERR_TRUST_DOCUMENT',
      'the trust document in force does not anchor the next CA yet',
    )
  const present = await readCa(directory, `ca-${role}`, passphrase)
  const older = existsSync(path(`ca-${role}-old`))
    ? await readCa(directory, `ca-${role}-old`, passphrase)
    : undefined
  if (older !== undefined && !equal(older.certificate, present.certificate))
    throw new KeyferryError(
      'ERR_EXISTS',
      `${path(`ca-${role}-old`)} is there: take it away when its last certificate is over`,
    )
  // A key file says whose it is, so each is written anew. A stop anywhere leaves both keys, and the command can be given again.
  const contents = (name: CaName): Bytes => readKeyFile(keyPath(directory, name), name, passphrase)
  const current = path(`ca-${role}`)
  if (older === undefined)
    writeKeyFile(path(`ca-${role}-old`), contents(`ca-${role}`), `ca-${role}-old`, passphrase)
  rmSync(`${current}.new`, { force: true })
  writeKeyFile(`${current}.new`, contents(`ca-${role}-next`), `ca-${role}`, passphrase)
  renameSync(`${current}.new`, current)
  rmSync(path(`ca-${role}-next`))
  rmSync(certificatePath(directory, `ca-${role}-next`), { force: true })
}

/**
 * Makes a directory for an enrolment backend on another host: the key file of the client-issuing CA, sealed as it is, and tables with the clients'
 * certificates and the denied keys of today. Throws `ERR_EXISTS`, `ERR_IO`.
 */
export function exportEnrolment(store: Store, directory: string, out: string): void {
  if (existsSync(keyPath(out, 'ca-client')) || existsSync(caStorePath(out)))
    throw new KeyferryError('ERR_EXISTS', `${out} holds a CA already`)
  try {
    mkdirSync(join(out, 'keys'), { recursive: true, mode: 0o700 })
    copyFileSync(
      keyPath(directory, 'ca-client'),
      keyPath(out, 'ca-client'),
      constants.COPYFILE_EXCL,
    )
    chmodSync(keyPath(out, 'ca-client'), 0o600)
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${out} cannot be written`, { cause })
  }
  const tables = openCaStore(caStorePath(out))
  try {
    const issued = store.all<Record<string, string | number | Bytes | null>>(
      "SELECT serial, role, uri, key_id, not_after, revoked, made, spki FROM issued WHERE role = 'client'",
    )
    const denied = store.all<{ key_id: Bytes; since: number }>('SELECT key_id, since FROM denied')
    tables.transaction(() => {
      for (const row of issued)
        tables.run('INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, ?)', ...Object.values(row))
      for (const { key_id, since } of denied)
        tables.run('INSERT INTO denied VALUES (?, ?)', key_id, since)
    })
  } finally {
    tables.close()
  }
}
