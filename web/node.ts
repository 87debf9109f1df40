/** What a client has in Node only: the export "keyferry/node". Everything else is the same as in browsers. */
export { createFileStore } from './store-file.ts'
export { identityFromPem, type Identity } from './identity.ts'
export { type Store, type StoredState } from './store.ts'
export { type Bytes } from '../shared/bytes.ts'
export { type SignatureAlgorithm, type SigningKey } from '../shared/signature.ts'
export { type ErrorCode, type KeyferryError } from '../shared/errors.ts'
