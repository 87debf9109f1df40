/** The keys of one keyring, unwrapped when they are first used and never readable (docs/PROTOCOL.md [open-19], [open-20]). */
import { type BundleEntry } from '../shared/bundle.ts'
import { equal, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringView } from '../shared/open.ts'
import { checkVersion, unwrapName, unwrapVersion, type MessageKey } from '../shared/unwrap.ts'

/** Keys under one key-encryption key and bundle. */
export interface Keys {
  /** The keyring's human name, as its bundle has it. Throws `ERR_OPEN`, `ERR_MALFORMED`. */
  name(): Promise<string>
  /** Checks that a version is what the authority committed to. Throws `ERR_OPEN`, `ERR_KEY_VERSION`, `ERR_COMMITMENT`. */
  check(entry: BundleEntry): Promise<unknown>
  /** Throws as {@link Keys.check}. */
  version(entry: BundleEntry): Promise<MessageKey>
}

/** Makes something once for each version; what fails is made again. */
function oncePerVersion<T>(make: (entry: BundleEntry) => Promise<T>) {
  const made = new Map<string, Promise<T>>()
  return (entry: BundleEntry): Promise<T> => {
    const id = `${entry.incarnation}/${entry.version}`
    const known = made.get(id)
    if (known !== undefined) return known
    const one = make(entry)
    made.set(id, one)
    one.catch(() => made.delete(id))
    return one
  }
}

/** The name that was unwrapped last: each bundle of a generation has the same one, wrapped to the same bytes. */
const names = new WeakMap<CryptoKey, { wrapped: Bytes; name: Promise<string> }>()

/** The keys of a bundle. Nothing is unwrapped yet. */
export function openKeys(
  { bundle, manifest }: Pick<KeyringView, 'bundle' | 'manifest'>,
  kek: CryptoKey,
): Keys {
  const check = oncePerVersion((entry) => checkVersion(kek, entry, manifest))
  return {
    // Asked for at every message.
    name() {
      const known = names.get(kek)
      if (known !== undefined && equal(known.wrapped, bundle.name)) return known.name
      const name = unwrapName(kek, bundle)
      names.set(kek, { wrapped: bundle.name.slice(), name })
      name.catch(() => names.delete(kek))
      return name
    },
    check,
    version: oncePerVersion((entry) => unwrapVersion(kek, entry, manifest, check)),
  }
}

/** Throws `ERR_KEYRING` unless the keys are of the keyring of this name: the app config maps names to ids but proves nothing. */
export async function requireName(keys: Keys, wanted: string | undefined): Promise<void> {
  const name = await keys.name()
  // PROTOCOL [bundle-2]
  if (name !== wanted)
    throw new KeyferryError('ERR_KEYRING', `the keyring is ${JSON.stringify(name)}, not this one`)
}
