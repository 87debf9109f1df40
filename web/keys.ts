/** The keys of one keyring, unwrapped when they are first used and never readable (docs/PROTOCOL.md [open-17] to [open-20]). */
import { type BundleEntry } from '../shared/bundle.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringView } from '../shared/open.ts'
import { unwrapCell, unwrapName, unwrapVersion, type MessageKey } from '../shared/unwrap.ts'

/** What of a view holds its keys. */
export type LockedView = Pick<KeyringView, 'bundle' | 'manifest'> & {
  member: Pick<KeyringView['member'], 'cell'>
}

/** Keys under one cell and bundle. */
export interface Keys {
  /** Throws `ERR_OPEN`, `ERR_KEY_VERSION`, `ERR_COMMITMENT`. */
  version(entry: BundleEntry): Promise<MessageKey>
}

/**
 * Unwraps the key-encryption key and, if a name is given, checks it: the app config maps names to ids but proves nothing. Throws `ERR_OPEN`,
 * `ERR_MALFORMED`, `ERR_KEYRING`.
 */
export async function openKeys(
  { member, bundle, manifest }: LockedView,
  channel: CryptoKey,
  name?: string,
): Promise<Keys> {
  const kek = await unwrapCell(channel, member.cell)
  const real = await unwrapName(kek, bundle)
  // PROTOCOL [bundle-2]
  if (name !== undefined && real !== name)
    throw new KeyferryError('ERR_KEYRING', `the keyring is ${JSON.stringify(real)}, not this one`)
  const versions = new Map<string, Promise<MessageKey>>()
  return {
    version(entry) {
      const id = `${entry.incarnation}/${entry.version}`
      let key = versions.get(id)
      if (key === undefined) {
        key = unwrapVersion(kek, entry, manifest)
        versions.set(id, key)
        key.catch(() => versions.delete(id))
      }
      return key
    },
  }
}
