import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { REKEY, revocationBound } from '../../deriver/bound.ts'
import { openStore } from '../../deriver/store.ts'
import { type TrustDocument } from '../../shared/trust.ts'

const NOW = 1_800_000_000
const trust = { body: { headLifetime: 600, skew: 60 } } as TrustDocument

it('a head that was signed under a longer lifetime counts for as long as it lives', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-bound-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const store = openStore(join(directory, 'deriver.db'), true)
  const head = (version: number, expires: number): void =>
    store.run('INSERT INTO heads VALUES (?, 1, NULL, NULL, 1, 0, ?, ?)', version, NOW, expires)
  expect(revocationBound(store, trust, NOW).direct).toBe(REKEY + 600 + 60)
  head(1, NOW + 3_000)
  head(2, NOW + 500)
  expect(revocationBound(store, trust, NOW).direct).toBe(REKEY + 3_000 + 60)
  expect(revocationBound(store, trust, NOW + 2_500).direct).toBe(REKEY + 600 + 60)
  store.close()
})
