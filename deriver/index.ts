/** The deriver as a library: what the command line is made of (package export `keyferry/deriver`). */
import { openRoots } from './roots.ts'
import { createService, type Service, type ServiceSettings } from './service.ts'
import { openStore, type Store } from './store.ts'
import { existsSync } from 'node:fs'
import {
  hasSealed,
  keyPath,
  openSigningKey,
  readAuthorityKeys,
  readCa,
  type CaName,
} from './key-files.ts'
import { newestTrust } from './trust.ts'
import { storePath } from './store.ts'
import { type AnySigner } from '../shared/http-signature.ts'
import { KeyferryError } from '../shared/errors.ts'

export { initTenant, type InitOptions } from './tenant.ts'
export { createKeyring, rotateKeyring, type KeyringOptions } from './keyrings.ts'
export { issueClient } from './ca.ts'
export { openClientCa, type ClientCa, type ClientCaOptions } from './client-ca.ts'
export { importCrl } from './crls.ts'
export { revokeCertificate, revokeClient, revokeDevice, type Revoked } from './revocation.ts'
export { appConfig, readStatus, type Status } from './status.ts'
export { inspect, describe, type Inspection } from './inspect.ts'
export { KeyferryError, isKeyferryError, type ErrorCode } from '../shared/errors.ts'
export type { Service, ServiceEvent, ServiceSettings } from './service.ts'
export type { RelayReport } from './fsck.ts'
export type { Store } from './store.ts'

/** How to open a deriver's directory. */
export interface OpenOptions extends ServiceSettings {
  directory: string
  /** `null` where the key files are unsealed. */
  passphrase: string | null
  /** The deriver's certificate path and key, from a CA of the customer's, or how to read them again before each step. Default: issued by the built-in CA. */
  signer?: AnySigner | (() => Promise<AnySigner>)
  /** Name of this instance in the certificate that the built-in CA issues. */
  instance?: string
}

/** A deriver opened from its directory. */
export interface Deriver extends Service {
  readonly store: Store
  close(): void
}

/** True if a directory's keys need a passphrase. */
export function needsPassphrase(directory: string): boolean {
  return hasSealed(directory)
}

/** Opens a deriver. Throws `ERR_IO`, `ERR_PASSPHRASE`, `ERR_STATE`, and what its roots throw: `ERR_PIN`, `ERR_ROOT` and the like. */
export async function openDeriver(options: OpenOptions): Promise<Deriver> {
  const { directory, passphrase, signer, instance = 'deriver-1', ...rest } = options
  const store = openStore(storePath(directory))
  try {
    const trust = await newestTrust(store)
    const roots = await openRoots(store, trust.tenant, { directory, passphrase })
    const own = existsSync(keyPath(directory, 'deriver'))
      ? await openSigningKey(directory, keyPath(directory, 'deriver'), 'deriver', passphrase)
      : undefined
    const authority = await readAuthorityKeys(directory, passphrase)
    const ca = async (name: CaName) =>
      existsSync(keyPath(directory, name)) ? await readCa(directory, name, passphrase) : undefined
    const [derivers, clients] = [await ca('ca-deriver'), await ca('ca-client')]
    const replaced = []
    for (const role of ['deriver', 'client'] as const) {
      const issuer = await ca(`ca-${role}-old`)
      if (issuer !== undefined) replaced.push({ role, issuer })
    }
    if (signer === undefined && derivers === undefined) {
      throw new KeyferryError(
        'ERR_USAGE',
        'a certificate for the deriver is needed: there is no built-in CA',
      )
    }
    const host = trust.body.derivers.sans[0]!.replace(/\*$/, '')
    const service = await createService({
      ...rest,
      store,
      name: instance,
      root: roots.root,
      openRoots: () => roots.refresh(),
      authority,
      signer: signer ?? {
        issuer: derivers!,
        uri: `${host}${instance}`,
        ...(own !== undefined && { key: own }),
      },
      issuers: {
        ...(derivers && { deriver: derivers }),
        ...(clients && { client: clients }),
        replaced,
      },
    })
    return { ...service, store, close: () => store.close() }
  } catch (error) {
    store.close()
    throw error
  }
}
