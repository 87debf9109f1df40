/** What a page does until its first decrypted byte, and what the time goes to. */

/** In the order in which they come. */
export const PHASES = [
  'load',
  'store',
  'connect',
  'fetch',
  'wait',
  'verify',
  'unwrap',
  'decrypt',
] as const
/**
 * Milliseconds by phase: load, from the navigation until the script has run; store, to open IndexedDB and read the identity; connect, which reads the state;
 * and from then to the last byte of one message: fetch, from a call until its answer begins; wait, while the client rests until it asks again, which gives the deriver time to
 * answer; unwrap, while WebCrypto unwraps, decapsulates or derives and no call is out; decrypt, of the message once its key is there; verify, all the
 * rest, signatures and hashes above all. `asked` is the sum of those after connect.
 */
export type Phases = Record<(typeof PHASES)[number] | 'asked', number>

/** Phases, and when the first byte was there, in milliseconds since 1970. */
export interface Taken {
  phases: Phases
  at: number
}

/** How pages come to a key. */
export const VISITS = {
  grant: 'first visit: a key that the deriver has to grant',
  cold: 'cold page: a key that is new since the last visit',
  warm: 'open page: a key that is new',
  kept: 'cold page: a key that the browser kept',
} as const
export type Kind = keyof typeof VISITS

/** What a kind of visit took, in milliseconds. */
export interface Visit {
  visit: string
  runs: number
  /** From the request for the key to the first byte. */
  p50: number
  p99: number
  /** Calls to the relay until then, with those that the browser would ask on its own before: in the middle run. */
  trips: number
  /** Medians. */
  phases: Phases
}
