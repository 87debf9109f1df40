/** What relays hold against a database: a head that a deriver of the tenant signed and that this database never knew ([deriver-7]). */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { verifyHeadSignature, type Head } from '../shared/release.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { type Conditions } from './conditions.ts'
import { parsedCrls } from './crls.ts'
import { isOwnHead } from './heads.ts'
import { fetchHead, type RelayAccess } from './relay.ts'
import { type Store } from './store.ts'

/** A head that this database does not know, and what to do. */
interface Foreign {
  incarnation: number
  error: KeyferryError
}

/** The relay's head, if a deriver of the tenant signed it; `null` where it has none, which proves nothing; `undefined` where it does not answer. */
async function witnessed(
  store: Store,
  access: RelayAccess,
  trust: TrustDocument,
): Promise<Head | null | undefined> {
  let envelope
  try {
    envelope = await fetchHead(access)
  } catch (error) {
    if (isKeyferryError(error, 'ERR_NOT_FOUND')) return null
    if (isKeyferryError(error)) return undefined
    throw error
  }
  try {
    const context = { trust, now: access.now(), crls: parsedCrls(store) }
    return await verifyHeadSignature(envelope, context)
  } catch (error) {
    if (isKeyferryError(error)) return null
    throw error
  }
}

/** Looks at the head that a relay holds. Returns why this database must sign none, or `null`; `undefined` where it does not answer. */
async function findForeign(
  store: Store,
  access: RelayAccess,
  trust: TrustDocument,
): Promise<Foreign | null | undefined> {
  const head = await witnessed(store, access, trust)
  if (head === null || head === undefined) return head
  const { incarnation, version } = head.body
  if (incarnation < store.counter('incarnation')) return null
  // PROTOCOL [deriver-7]
  if (isOwnHead(store, head.body, head.hash)) return null
  const message = `${access.url} holds head ${incarnation}.${version}, which is not one of this database: was it restored? it needs a new incarnation`
  const hint =
    'where a signing key may be stolen, keyferry deriver revoke first; then keyferry trust propose --raise-incarnation, trust sign and trust publish'
  return { incarnation, error: new KeyferryError('ERR_ROLLBACK', message, { hint }) }
}

/** The relays as witnesses against a database. */
export interface Witnesses {
  /**
   * Before heads are signed: relays may know that the database went back. One that does not answer is asked again, since whoever restored it may have kept the relay
   * away. Throws `ERR_ROLLBACK`.
   */
  ask(relays: readonly RelayAccess[], trust: TrustDocument): Promise<void>
  /** One that refused a push for the head that it holds is asked again: another deriver may have been at work since. */
  askAgain(url: string): void
}

export function createWitnesses(store: Store, conditions: Conditions): Witnesses {
  let foreign: Foreign | null = null
  const answered = new Set<string>()
  return {
    async ask(relays, trust) {
      for (const access of relays) {
        const { url } = access
        if (answered.has(url)) continue
        const found = await findForeign(store, access, trust)
        if (found === undefined) continue
        conditions.set(`unknown ${url}`, found?.error ?? null)
        answered.add(url)
        if (found !== null && found.incarnation >= (foreign?.incarnation ?? 0)) foreign = found
      }
      if (foreign !== null && foreign.incarnation >= store.counter('incarnation'))
        throw foreign.error
    },
    askAgain: (url) => void answered.delete(url),
  }
}
