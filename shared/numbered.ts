/** Documents of the authority that carry a number, beside the ones that were known before (docs/PROTOCOL.md, "Manifest and catalog"). */
import type { Authority } from './authority.ts'
import { equal, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import type { TrustBody } from './trust.ts'

/** Throws `ERR_ROLLBACK` or `ERR_FORK` if a numbered document goes back behind, or differs from, the one known. */
export function requireNotBelow(
  next: { number: number; hash: Uint8Array },
  last: { number: number; hash: Uint8Array } | null,
  what: string,
): void {
  if (last === null) return
  if (next.number < last.number) {
    throw new KeyferryError('ERR_ROLLBACK', `${what} ${next.number} after ${last.number}`)
  }
  if (next.number === last.number && !equal(next.hash, last.hash)) {
    throw new KeyferryError('ERR_FORK', `two different documents are ${what} ${next.number}`)
  }
}

/** The number below which a trust document lets no list of an issuer (key id) count. */
export function lowestCrl(issuer: Bytes, { lowestCrls }: Pick<TrustBody, 'lowestCrls'>): number {
  return lowestCrls.find((one) => equal(one.issuer, issuer))?.number ?? 0
}

/**
 * Whether no document that the earlier authority signed can count under the later one: too few of its keys are left. Then the numbers that it
 * gave out, which a thief of its keys may have driven up, bind nobody any more.
 */
export function isReplaced(before: Authority, after: Authority): boolean {
  const kept = after.keys.filter((key) => before.keys.some((one) => equal(one, key)))
  return kept.length < after.threshold
}
