import { type Keyferry } from 'keyferry'
import { useState } from 'react'
import { useDecrypted, useKeyring } from './use-keyring.ts'

/** One note: what is typed is encrypted, and shown out of what was encrypted. */
export function Note({ keyferry }: { keyferry: Keyferry | null }) {
  const { keyring, state, version, error } = useKeyring(keyferry, 'notes')
  const [message, setMessage] = useState<Uint8Array | null>(null)
  const text = useDecrypted(keyring, message, 'note/17')
  async function save(form: FormData): Promise<void> {
    const typed = form.get('text') as string
    setMessage(await keyring!.encrypt(typed, { context: 'note/17' }))
  }
  return (
    <form action={save}>
      <p id="state">{error instanceof Error ? error.message : `${state}, version ${version}`}</p>
      <input name="text" />
      <button disabled={keyring === null}>Save</button>
      <p id="note">{text ?? '…'}</p>
    </form>
  )
}
