/**
 * A raised incarnation taken up: after a restore, or after the key that signs heads was stolen. Versions of earlier incarnations only decrypt from
 * then on, and nothing is signed before the revocation lists that the trust document asks for are there.
 */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type Issuer } from '../shared/issue.ts'
import { keyId } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { listedName } from './crls.ts'
import { appendLog, shownLog } from './log.ts'
import { renewGeneration, type Deriving } from './members.ts'
import { markChanged, type Store } from './store.ts'
import { takeFenceDown } from './restored.ts'
import { moveOn } from './versions.ts'

/**
 * Numbers of catalogs and manifests go on above this under an incarnation. A restored database does not know the last ones that it gave out, and
 * clients take no lower ones.
 */
function numberBase(incarnation: number): number {
  return Math.min(incarnation * 2 ** 32, 2 ** 52)
}

/**
 * Takes the trust document's incarnation where it is above the deriver's: every keyring gets a new generation and a new version, in one transaction, in which the
 * fence of a restore comes down, too (`requireTakenUp` first). Returns whether it did.
 */
export async function takeUpIncarnation(
  store: Store,
  deriving: Deriving,
  trust: TrustDocument,
  now: number,
): Promise<boolean> {
  const { incarnation } = trust.body
  if (store.counter('incarnation') >= incarnation) return false
  return deriving.root.transaction(store, () => {
    // Another instance may have been faster.
    if (store.counter('incarnation') >= incarnation) return false
    const since = shownLog(store)?.size ?? 0
    appendLog(store, 'incarnation-raised', now, { incarnation, since, trust: trust.body.number })
    store.set('incarnation', incarnation)
    // PROTOCOL [restore-1] Not before: a root that does not answer would leave this database without a fence, in the incarnation of the backup.
    takeFenceDown(store)
    // PROTOCOL [deriver-6]
    const base = numberBase(incarnation)
    store.set('catalog', Math.max(store.counter('catalog'), base))
    store.run('UPDATE keyrings SET number = max(number, ?)', base)
    for (const { id } of store.all<{ id: Bytes }>('SELECT id FROM keyrings ORDER BY id')) {
      renewGeneration(store, deriving, id, now, () => true)
      moveOn(store, id, now, true)
    }
    markChanged(store)
    return true
  })
}

/** Lets the next CRL of a built-in CA have at least the number that the trust document asks for: a restored database counts from below. */
export async function catchUpCrls(
  store: Store,
  issuers: { deriver?: Issuer; client?: Issuer },
  trust: TrustDocument,
): Promise<void> {
  for (const role of ['deriver', 'client'] as const) {
    const issuer = issuers[role]
    if (issuer === undefined) continue
    const id = await keyId(issuer.key.spki)
    const lowest = trust.body.lowestCrls.find((one) => equal(one.issuer, id))?.number ?? 0
    store.transaction(() => {
      if (store.counter(`crl-${role}`) >= lowest) return
      store.set(`crl-${role}`, lowest - 1)
      // The list in force no longer counts as fresh.
      store.set(listedName(id), -1)
    })
  }
}

/** Throws `ERR_CRL` while a revocation list in force is below the number that the trust document asks for. */
export function requireFreshCrls(store: Store, trust: TrustDocument): void {
  for (const { issuer, number } of trust.body.lowestCrls) {
    const row = store.get<{ number: number }>('SELECT number FROM crls WHERE issuer = ?', issuer)
    if (row === undefined || row.number >= number) continue
    throw new KeyferryError(
      'ERR_CRL',
      `CRL ${number} or later of issuer ${hex(issuer).slice(0, 16)} is needed before the next head, ${row.number} is there`,
    )
  }
}
