/** Storing an enrolment (docs/PROTOCOL.md [relay-5]). Signatures were verified before this is reached, of lists as far as they can be. */
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type Database } from './database.ts'
import {
  addTrust,
  checkCrls,
  dropUnverifiedCrls,
  hasCrl,
  newestTrust,
  putCrls,
  readCurrent,
  type StoredCrl,
} from './store.ts'

/** A verified trust document, encoded. */
export interface StoredTrust {
  number: number
  hash: Bytes
  envelope: Bytes
}

/**
 * Stores a genesis trust document and lists. Until the first head the unverified ones replace those of the enrolment before; from then on only verified ones are
 * taken. `isNew` is false for a tenant that is enrolled already.
 */
export function enrolIn(
  storage: DurableObjectStorage,
  db: Database,
  genesis: StoredTrust,
  crls: readonly StoredCrl[],
): { code: ErrorCode | null; isNew: boolean } {
  const isNew = newestTrust(db) === undefined
  const hasHead = readCurrent(db) !== undefined
  // PROTOCOL [relay-5]
  const taken = crls.filter((crl) => (crl.isVerified ? !hasCrl(db, crl.hash) : !hasHead))
  const verified = taken.filter(({ isVerified }) => isVerified)
  const refused = checkCrls(db, verified)
  if (refused !== null) return { code: refused, isNew: false }
  try {
    const code = storage.transactionSync(() => {
      if (!hasHead) dropUnverifiedCrls(db)
      putCrls(db, taken)
      return addTrust(db, genesis)
    })
    return { code, isNew: isNew && code === null }
  } catch (error) {
    if (isKeyferryError(error)) return { code: error.code, isNew: false }
    throw error
  }
}
