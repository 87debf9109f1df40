/**
 * Cryptography for platforms without WebCrypto, such as React Native, on noble. An app imports `keyferry/noble` where `globalThis.crypto.subtle` is missing, by a
 * dynamic import, and nowhere else.
 */
import { installSubtle } from '../../shared/platform.ts'
import { nobleSubtle } from './subtle.ts'

export { createTextStore, type TextPlace } from '../store-text.ts'
export { type Store, type StoredState } from '../store.ts'
export { type ErrorCode, type KeyferryError } from '../../shared/errors.ts'

/**
 * Has all clients use noble from now on; before `connect` and `createIdentity`. Keys then live in the memory of JavaScript, where a debugger, a memory dump or
 * another script finds them, operations take 10 to 50 times as long, and not all of them the same time. `crypto.getRandomValues` has to be there.
 */
export function installNoble(): void {
  installSubtle(nobleSubtle)
}
