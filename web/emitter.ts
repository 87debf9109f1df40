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
  /**
   * Nothing of this client outlives the page: the browser keeps no keys (`store.sessionOnly`). Whoever starts to listen is told once, whenever that is; it is
   * also a warning, at the first keyring.
   */
  session: { code: ErrorCode; message: string }
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
  /** {@link emit}, also for every listener that is yet to come: what is so and stays so. */
  keep<N extends keyof E>(event: N, detail: E[N]): void
}

/** An emitter without listeners. What a listener throws is reported as an uncaught error and stops nobody else. */
export function createEmitter<E>(): Emitter<E> {
  const listeners = new Map<keyof E, Set<(detail: never) => void>>()
  const kept = new Map<keyof E, E[keyof E]>()
  const tell = (listener: (detail: never) => void, detail: E[keyof E]): void => {
    try {
      listener(detail as never)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
  const emit: Emitter<E>['emit'] = (event, detail) => {
    for (const listener of listeners.get(event) ?? []) tell(listener, detail)
  }
  return {
    emit,
    on(event, listener) {
      // A function of its own, so that one listener can be there twice.
      const own = (detail: E[typeof event]): void => listener(detail)
      const all = listeners.get(event) ?? new Set()
      listeners.set(event, all.add(own))
      const known = kept.get(event)
      // After `on` has returned, as every event.
      if (known !== undefined) queueMicrotask(() => void (all.has(own) && tell(own, known)))
      return () => void all.delete(own)
    },
    keep(event, detail) {
      kept.set(event, detail)
      emit(event, detail)
    },
  }
}
