import { type Keyferry, type Keyring, type KeyringState } from 'keyferry'
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'

/** A keyring as a component sees it: `keyring` once there is a key, `error` when there will be none. */
export interface KeyringView {
  keyring: Keyring | null
  state: KeyringState
  /** The version that is encrypted under now; 0 for none. */
  version: number
  error: unknown
}

/** `null` for the client until it is connected, and on a server that renders. */
export function useKeyring(keyferry: Keyferry | null, name: string): KeyringView {
  const [found, setFound] = useState<{ keyring: Keyring | null; error: unknown }>()
  useEffect(() => {
    setFound(undefined)
    if (keyferry === null) return
    const stop = new AbortController()
    keyferry.keyring(name, { signal: stop.signal }).then(
      (keyring) => stop.signal.aborted || setFound({ keyring, error: null }),
      (error: unknown) => stop.signal.aborted || setFound({ keyring: null, error }),
    )
    return () => stop.abort()
  }, [keyferry, name])

  const keyring = found?.keyring ?? null
  const subscribe = useCallback(
    (changed: () => void) => {
      const stops = [keyferry?.on('state', changed), keyferry?.on('key', changed)]
      return () => stops.forEach((stop) => stop?.())
    },
    [keyferry],
  )
  const state = useSyncExternalStore(
    subscribe,
    () => keyring?.state ?? 'pending',
    () => 'pending' as const,
  )
  const version = useSyncExternalStore(
    subscribe,
    () => keyring?.version ?? 0,
    () => 0,
  )
  return { keyring, state, version, error: found?.error ?? null }
}

/** The text of a message; `null` while it is opened. What cannot be opened is thrown to the next error boundary. */
export function useDecrypted(
  keyring: Keyring | null,
  message: Uint8Array | null,
  context: string,
): string | null {
  const [opened, setOpened] = useState<{ of: Uint8Array; text?: string; error?: unknown }>()
  useEffect(() => {
    if (keyring === null || message === null) return
    // The answer to an earlier message must not show under this one.
    let isLatest = true
    keyring.decrypt(message, { context, as: 'text' }).then(
      (text) => isLatest && setOpened({ of: message, text }),
      (error: unknown) => isLatest && setOpened({ of: message, error }),
    )
    return () => void (isLatest = false)
  }, [keyring, message, context])
  if (opened === undefined || opened.of !== message) return null
  if ('error' in opened) throw opened.error
  return opened.text ?? null
}
