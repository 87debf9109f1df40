/** What a client's stored state never does: go back. */
import { expect } from 'vitest'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { compareVersions } from '../../shared/manifest.ts'
import { type StoredState } from '../../web/store.ts'

/** No number of what was accepted falls; an equal one stands for the same bytes. */
export function expectNotBelow(before: StoredState | null, after: StoredState): void {
  expect(after.packageVersion).toBeGreaterThanOrEqual(before?.packageVersion ?? 0)
  const [a, b] = [before?.accepted, after.accepted]
  if (a == null) return
  const rises = (
    one: { number: number; hash: Bytes },
    other: { number: number; hash: Bytes },
  ): void => {
    expect(other.number).toBeGreaterThanOrEqual(one.number)
    if (other.number === one.number) expect(hex(other.hash)).toBe(hex(one.hash))
  }
  const order = compareVersions(b!.head, a.head)
  expect(order).toBeGreaterThanOrEqual(0)
  if (order === 0) expect(hex(b!.head.hash)).toBe(hex(a.head.hash))
  expect(b!.trust.body.incarnation).toBeGreaterThanOrEqual(a.trust.body.incarnation)
  rises({ ...a.trust.body, hash: a.trust.hash }, { ...b!.trust.body, hash: b!.trust.hash })
  rises({ ...a.catalog.body, hash: a.catalog.hash }, { ...b!.catalog.body, hash: b!.catalog.hash })
  for (const [id, manifest] of Object.entries(a.manifests)) rises(manifest, b!.manifests[id]!)
  for (const [id, number] of Object.entries(a.crls))
    expect(b!.crls[id]).toBeGreaterThanOrEqual(number)
}
