/** Typed events of a client: hints for the app to look again, never the only carrier of an error. */

import { type ErrorCode } from '../shared/errors.ts'
import { type KeyringState } from './state.ts'

/** Events of a client. */
export interface ClientEvents {
  /** A keyring stands otherwise than before; `reason` is the deriver's signed word to it, empty where there is none. */
  state: { keyring: string; state: KeyringState; reason: string }
  /** A new head was accepted; `expiresAt` in seconds. */
  change: { incarnation: number; version: number; expiresAt: number }
  /** A keyring has a new version to encrypt with. */
  key: { keyring: string; version: number }
  /** Something was refused or a relay failed; the client goes on with what it has. */
  warning: { code: ErrorCode; message: string }
  /** The certificate, good until `expiresAt` (seconds), was renewed, or could not be: `failure`, and it is tried again. */
  renewal: { expiresAt: number; failure: { code: ErrorCode; message: string } | null }
  /** The first key can be used, so many milliseconds after `connect`. */
  ready: { milliseconds: number }
}

/** Listeners by event; `E` maps an event's name to what its listeners are given. */
export interface Emitter<E> {
  /** Calls `listener` at every event until the returned function is called. */
  on<N extends keyof E>(event: N, listener: (detail: E[N]) => void): () => void
  emit<N extends keyof E>(event: N, detail: E[N]): void
}

/** An emitter without listeners. What a listener throws is reported as an uncaught error and stops nobody else. */
export function createEmitter<E>(): Emitter<E> {
  const listeners = new Map<keyof E, Set<(detail: never) => void>>()
  return {
    on(event, listener) {
      // A function of its own, so that one listener can be there twice.
      const own = (detail: E[typeof event]): void => listener(detail)
      const all = listeners.get(event) ?? new Set()
      listeners.set(event, all.add(own))
      return () => void all.delete(own)
    },
    emit(event, detail) {
      for (const listener of listeners.get(event) ?? []) {
        try {
          listener(detail as never)
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
