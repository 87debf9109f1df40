/** The tenant's trust documents, as the deriver keeps them. */
import { type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { verifyGenesis, verifySuccessor, type TrustDocument } from '../shared/trust.ts'
import { tenantId } from '../shared/document-hash.ts'
import { type Store } from './store.ts'

/** The tenant's trust documents, verified from genesis on; never taken from a relay ([deriver-2]). */
export async function loadTrust(store: Store): Promise<TrustDocument[]> {
  const rows = store.all<{ envelope: Bytes }>('SELECT envelope FROM trust ORDER BY number')
  const out: TrustDocument[] = []
  // PROTOCOL [deriver-2]
  for (const { envelope } of rows) {
    const decoded = decodeEnvelope(new Uint8Array(envelope))
    const last = out.at(-1)
    out.push(
      last === undefined
        ? await verifyGenesis(decoded, tenantId(decoded))
        : await verifySuccessor(decoded, last),
    )
  }
  if (out.length === 0) throw new KeyferryError('ERR_STATE', 'no trust document')
  return out
}

/** Whether no other process took a newer trust document into force. */
export function isNewestTrust(store: Store, { body }: TrustDocument): boolean {
  return store.get<{ n: number }>('SELECT max(number) AS n FROM trust')!.n === body.number
}

/** The newest trust document. */
export async function newestTrust(store: Store): Promise<TrustDocument> {
  return (await loadTrust(store)).at(-1)!
}
