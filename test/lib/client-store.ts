/** What every store of a client must do, wherever it runs. */
import { expect, it } from 'vitest'
import { equal } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { subtle } from '../../shared/platform.ts'
import { generateSigningKey, signBytes } from '../../shared/signature.ts'
import { emptyState, type Store, type StoredState } from '../../web/store.ts'

/** `open` gives the same store every time for one name, as another tab or process would have it. */
export function describeStore(open: (name: string) => Promise<Store>): void {
  const next = async (store: Store): Promise<StoredState> => {
    const state = (await store.read()) ?? emptyState()
    return { ...state, revision: state.revision + 1 }
  }

  it('begins empty', async () => {
    expect(await (await open('empty')).read()).toBe(null)
  })

  it('gives back what was written, keys included, and the keys cannot be read', async () => {
    const store = await open('keys')
    const key = await generateSigningKey('ES256', store.exportsKeys)
    const hpke = createHpke('P-256')
    const recipient = await hpke.generate(store.exportsKeys)
    const channelKey = await subtle().generateKey({ name: 'AES-KW', length: 256 }, false, [
      'unwrapKey',
    ])
    const bytes = Uint8Array.of(1, 2, 3)
    const stored = {
      hash: bytes,
      envelope: { certificates: [bytes], payload: bytes, payloadType: 'x', signatures: [] },
      version: 1,
      issuedAt: 2,
      expiresAt: 3,
      fingerprint: bytes,
      key: recipient,
      channel: { key: channelKey, id: bytes, welcome: bytes, welcomeHash: bytes },
    }
    const identity = { key, certificates: [bytes] }
    await store.write({ ...(await next(store)), tenant: 'x', identity, packages: [stored] })
    const again = await open('keys')
    const back = (await again.read())!
    expect([back.tenant, back.revision, back.head]).toEqual(['x', 1, new Uint8Array()])
    expect(back.identity!.key.key.extractable).toBe(false)
    expect((await signBytes(back.identity!.key, bytes)).length).toBe(64)
    const [one] = back.packages
    const sealed = await hpke.seal(recipient.publicKey, bytes, bytes)
    const opened = await hpke.open(one!.key, sealed.encapsulated, sealed.ciphertext, bytes)
    expect(opened).toEqual(bytes)
    expect((one!.key.privateKeys[0] as CryptoKey).extractable).toBe(false)
    // A key that came out of a store can be written again.
    await again.write(await next(again))
    const third = (await (await open('keys')).read())!
    expect((await signBytes(third.identity!.key, bytes)).length).toBe(64)
    expect(equal(third.packages[0]!.channel!.welcome, bytes)).toBe(true)
  })

  it('refuses to go back', async () => {
    const store = await open('back')
    const state = await next(store)
    await store.write(state)
    await store.write({ ...state, revision: 2 })
    for (const revision of [1, 2]) {
      await expect(store.write({ ...state, revision })).rejects.toMatchObject({ code: 'ERR_STATE' })
    }
    expect((await store.read())!.revision).toBe(2)
  })

  it('tells what somebody else has written since, and nothing else', async ({ skip }) => {
    const [one, other] = [await open('newer'), await open('newer')]
    if (one.hasNewer === undefined) return skip('one page, one writer')
    await one.read()
    await other.read()
    const newer = (revision: number): Promise<boolean[]> =>
      Promise.all([one, other].map((store) => store.hasNewer!(revision)))
    expect(await newer(0)).toEqual([false, false])
    await one.write(await next(one))
    await expect.poll(() => newer(0)).toEqual([true, true])
    await other.read()
    expect(await newer(1)).toEqual([false, false])
    await other.write(await next(other))
    await expect.poll(() => newer(1)).toEqual([true, true])
    await one.read()
    expect(await newer(2)).toEqual([false, false])
  })

  it('lets two writers take turns: no write is lost', async () => {
    const tabs = [await open('turns'), await open('turns')]
    const add = (store: Store): Promise<void> =>
      store.lock(async () => {
        const state = await next(store)
        await store.write({ ...state, packageVersion: state.packageVersion + 1 })
      })
    await Promise.all(Array.from({ length: 10 }, (_, i) => add(tabs[i % 2]!)))
    const { revision, packageVersion } = (await tabs[0]!.read())!
    expect([revision, packageVersion]).toEqual([10, 10])
  })

  it('gives the lock back after an error', async () => {
    const store = await open('error')
    await expect(store.lock(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await store.lock(() => Promise.resolve('yes'))).toBe('yes')
  })
}
