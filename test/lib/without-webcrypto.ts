/** A platform without WebCrypto, as React Native with its polyfill for random values: what runs after this runs on noble. */
import { installNoble } from '../../web/noble/index.ts'

const random = crypto.getRandomValues.bind(crypto)
Object.defineProperty(globalThis, 'crypto', {
  value: Object.freeze({ getRandomValues: random }),
  configurable: true,
})
for (const name of ['Crypto', 'CryptoKey', 'SubtleCrypto']) Reflect.deleteProperty(globalThis, name)
installNoble()
