/** Keyferry's client for browsers and Node: keys from the customer's deriver, through a relay that nobody has to trust. */
export { connect, Keyferry, type ConnectOptions } from './client.ts'
export { type ClientEvents } from './emitter.ts'
export { loadIdentity, type Identity } from './identity.ts'
export { type Data, type StreamData } from './data.ts'
export { Keyring } from './keyring.ts'
export {
  type ContextOptions,
  type DecryptOptions,
  type EncryptOptions,
  type RangeOptions,
  type ReadOptions,
  type SenderOptions,
  type StreamOptions,
  type VerifyOptions,
} from './keyring-options.ts'
export { type KeyringState } from './state.ts'
export { openIndexedDbStore } from './store-indexeddb.ts'
export { createMemoryStore } from './store-memory.ts'
export { type Evidence, type Store, type StoredState } from './store.ts'
export { type WaitOptions } from './waiting.ts'
export { type Bytes } from '../shared/bytes.ts'
export { type AppConfigJson } from '../shared/config.ts'
export { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
export { isMessage } from '../shared/message.ts'
export type { MessageSource } from '../shared/message-range.ts'
export type { SignatureAlgorithm, SigningKey } from '../shared/signature.ts'
export type { Sender, SenderStatus } from '../shared/sender.ts'
