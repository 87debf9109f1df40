// The store of browsers, in a real one: keys survive a reload and cannot be read.
import { describe, expect, it } from 'vitest'
import { createHpke } from '../../shared/hpke.ts'
import { generateRecipient } from '../../web/package.ts'
import { openIndexedDbStore } from '../../web/store-indexeddb.ts'
import { emptyState } from '../../web/store.ts'
import { describeStore } from '../lib/client-store.ts'

describe('in IndexedDB', () => {
  const run = crypto.randomUUID()
  describeStore((name) => openIndexedDbStore(`${run} ${name}`))

  it('keeps the keys of the best suite that the browser has', async () => {
    const store = await openIndexedDbStore(`${run} suites`)
    const key = await generateRecipient(['MLKEM768-X25519', 'X25519', 'P-256'], false)
    const bytes = Uint8Array.of(1)
    const envelope = { certificates: [], payload: bytes, payloadType: '', signatures: [] }
    const hash = bytes
    const rest = { version: 1, issuedAt: 0, expiresAt: 0, fingerprint: bytes, channel: null }
    await store.write({
      ...emptyState(),
      revision: 1,
      packages: [{ hash, envelope, key, ...rest }],
    })
    const [back] = (await (await openIndexedDbStore(`${run} suites`)).read())!.packages
    const hpke = createHpke(key.suite)
    const { encapsulated, ciphertext } = await hpke.seal(key.publicKey, bytes, bytes)
    expect(await hpke.open(back!.key, encapsulated, ciphertext, bytes)).toEqual(bytes)
    console.log(`suite: ${key.suite}`)
  })
})
