/** Secrets of versions while something is made of them, and after. */
import { describe, expect, it } from 'vitest'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { holdRoots, memoryKey, type Root } from '../../deriver/root.ts'
import { type VersionRow } from '../../deriver/rows.ts'
import { withSecrets } from '../../deriver/version-secrets.ts'
import { fromBase32, fromUtf8, type Bytes } from '../../shared/bytes.ts'
import { ask, notes, tenant, useTenant } from '../lib/deriver.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

/** A root in memory, and everything that was ever derived from it, by purpose. */
function observe(): { root: Root; made: (purpose: string) => Bytes[] } {
  const key = memoryKey(new Uint8Array(32).fill(7))
  const all: [string, Bytes][] = []
  const macNow = (input: Bytes): Bytes => {
    const out = key.macNow!(input)
    all.push([fromUtf8(input.subarray(0, input.indexOf(0))), out])
    return out
  }
  return {
    root: holdRoots(new Map([[1, { ...key, macNow }]])),
    made: (purpose) => all.flatMap(([label, out]) => (label.endsWith(purpose) ? [out] : [])),
  }
}

const isWiped = (secret: Bytes): boolean => secret.every((byte) => byte === 0)

describe('secrets of versions', () => {
  it('are derived once for all that is made of them, and gone after it, also where it fails', () => {
    const { root, made } = observe()
    const names = { tenant: fromBase32(tenant.trust.tenant), keyring: notes }
    const row = tenant.store.get<VersionRow>('SELECT * FROM versions WHERE keyring = ?', notes)!
    withSecrets(root, names, (secrets) => {
      expect(secrets.of(row)).toBe(secrets.of(row))
      expect(isWiped(secrets.of(row))).toBe(false)
    })
    expect(made('version').map(isWiped)).toEqual([true])
    expect(() =>
      withSecrets(root, names, (secrets) => {
        secrets.of(row)
        throw new Error('in the middle')
      }),
    ).toThrow('in the middle')
    expect(made('version').map(isWiped)).toEqual([true, true])
  })

  it('are gone once a keyring is published, and so are its key-encryption keys', async () => {
    const { root, made } = observe()
    const { store, keys, trust, clock } = tenant
    await ask(await makeClient(tenant, 'kim'))
    for (let i = 0; i < 3; i++) rotateKeyring(store, 'notes', clock.now)
    await publish(store, { ...keys, root }, trust, emptyLog(), clock.now, 3_600)
    for (const purpose of ['version', 'kek']) {
      expect(made(purpose).length).toBeGreaterThan(0)
      expect(made(purpose).every(isWiped), purpose).toBe(true)
    }
  })
})
