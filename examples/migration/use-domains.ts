import { type Bytes, type Keyring } from 'keyferry'

/** The one call of the old SDK that is still needed. */
export interface OldSdk {
  decrypt(blob: string): Promise<string>
}

/** Old blobs are text, messages are bytes: what is stored says which it is. */
export type Stored = string | Bytes

async function openOld(blob: string, old: OldSdk): Promise<string> {
  const text = await old.decrypt(blob)
  // Some versions of the old SDK give an empty text for what does not open.
  if (text === '') throw new Error('the old blob did not open, or was empty')
  return text
}

/** Reads either. */
export async function readText(
  stored: Stored,
  keyring: Keyring,
  context: string,
  old: OldSdk,
): Promise<string> {
  if (typeof stored === 'string') return openOld(stored, old)
  return keyring.decrypt(stored, { context, as: 'text' })
}

/** What to store in place of an old blob. */
export async function moveText(
  stored: Stored,
  keyring: Keyring,
  context: string,
  old: OldSdk,
): Promise<Bytes> {
  if (typeof stored !== 'string') return stored
  return keyring.encrypt(await openOld(stored, old), { context })
}
