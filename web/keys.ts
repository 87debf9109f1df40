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
  /** The keyring's human name, as its bundle has it. */
  readonly name: string
  /** Throws `ERR_OPEN`, `ERR_KEY_VERSION`, `ERR_COMMITMENT`. */
  version(entry: BundleEntry): Promise<MessageKey>
}

/** Unwraps the key-encryption key and the name. Throws `ERR_OPEN`, `ERR_MALFORMED`. */
export async function openKeys(
  { member, bundle, manifest }: LockedView,
  channel: CryptoKey,
): Promise<Keys> {
  const kek = await unwrapCell(channel, member.cell)
  const name = await unwrapName(kek, bundle)
  const versions = new Map<string, Promise<MessageKey>>()
  return {
    name,
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

/** Throws `ERR_KEYRING` unless the keys are of the keyring of this name: the app config maps names to ids but proves nothing. */
export function requireName({ name }: Keys, wanted: string | undefined): void {
  // PROTOCOL [bundle-2]
  if (wanted !== undefined && name !== wanted)
    throw new KeyferryError('ERR_KEYRING', `the keyring is ${JSON.stringify(name)}, not this one`)
}
