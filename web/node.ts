/** What a client has in Node only: the export "keyferry/node". Everything else is the same as in browsers. */
export { createFileStore } from './store-file.ts'
export { identityFromPem } from './identity.ts'
