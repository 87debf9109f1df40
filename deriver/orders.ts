/** What administrators ordered and takes a key of the deriver: grants, destructions, and words to clients that nobody asked for. */
import { type Envelope } from '../shared/envelope.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { carryOut } from './carry-out.ts'
import { type DestructionRow } from './destroy.ts'
import { grantApproved } from './grants.ts'
import { dueDenials } from './pending.ts'
import { type PublishKeys } from './publish.ts'
import { signRefusal } from './refusals.ts'
import { dueDemands } from './rekey.ts'
import { keyringRow } from './rows.ts'
import { type Store } from './store.ts'

/** What was done. `version` is such as `notes@3`, `completes` seconds. */
export type OrderEvent =
  | { type: 'granted'; uri: string; keyrings: string[] }
  | { type: 'rewelcomed'; devices: number }
  | { type: 'erased'; version: string; completes: number }
  | { type: 'destroyed'; version: string }

/** Carries orders on, as far as they can go now. */
export async function carryOutOrders(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
  report: (event: OrderEvent) => void,
): Promise<void> {
  const nameOf = ({ keyring, version }: DestructionRow): string =>
    `${keyringRow(store, keyring).name}@${version}`
  for (const granted of await grantApproved(store, keys, trust, now))
    report({ type: 'granted', ...granted })
  const { erased, destroyed } = await carryOut(store, keys, trust, now, (devices) =>
    report({ type: 'rewelcomed', devices }),
  )
  for (const row of erased)
    report({ type: 'erased', version: nameOf(row), completes: row.completes })
  for (const row of destroyed) report({ type: 'destroyed', version: nameOf(row) })
}

/** Signs what is to be said to clients now. `isTold` notes that a relay has it. */
export async function signDueWords(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<{ refusals: Envelope[]; isTold: () => void }> {
  const words = [...dueDenials(store, now), ...dueDemands(store, now)]
  const refusals: Envelope[] = []
  for (const { word } of words) refusals.push(await signRefusal(store, keys, trust, word, now))
  return {
    refusals,
    isTold() {
      for (const one of words) one.isTold()
    },
  }
}
