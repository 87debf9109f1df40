import { type Bytes, type Keyring } from 'keyferry'

/** What envelope encryption with a KMS left: AES-256-GCM under a data key, and that key as the KMS wrapped it. */
export interface Envelope {
  wrappedKey: Bytes
  iv: Bytes
  ciphertext: Bytes
}

/** A row has one of the two. */
export interface Row {
  id: string
  envelope: Envelope | null
  message: Bytes | null
}

/** The KMS's call that decrypts a data key, by its own SDK. */
export type Unwrap = (wrappedKey: Bytes) => Promise<Bytes>

const contextOf = ({ id }: Row): string => `note/${id}`

async function openEnvelope({ wrappedKey, iv, ciphertext }: Envelope, unwrap: Unwrap) {
  const bytes = await unwrap(wrappedKey)
  const key = await crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['decrypt'])
  bytes.fill(0)
  return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, ciphertext))
}

/** Reads a row of either kind. */
export async function readRow(row: Row, notes: Keyring, unwrap: Unwrap): Promise<Bytes> {
  if (row.message !== null) return notes.decrypt(row.message, { context: contextOf(row) })
  if (row.envelope === null) throw new Error(`row ${row.id} is empty`)
  return openEnvelope(row.envelope, unwrap)
}

/** The row to store in place of this one, or null where nothing is to be done. The envelope goes when its message was seen to open. */
export async function moveRow(row: Row, notes: Keyring, unwrap: Unwrap): Promise<Row | null> {
  if (row.envelope === null) return null
  const context = contextOf(row)
  const plain = await openEnvelope(row.envelope, unwrap)
  const message = await notes.encrypt(plain, { context })
  const again = await notes.decrypt(message, { context })
  if (plain.length !== again.length || plain.some((byte, i) => byte !== again[i]))
    throw new Error(`row ${row.id} does not come back`)
  return { ...row, envelope: null, message }
}
