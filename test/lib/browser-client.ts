/** A client in a browser: enrolled into IndexedDB, and loaded out of it again as a page would. */
import { onTestFinished } from 'vitest'
import { createIdentity } from '../../web/enroll.ts'
import { openIndexedDbStore, type Keyferry, type Store } from '../../web/index.ts'
import { certifyKim } from './certify.ts'
import { type ClientRelay } from './client-relay.ts'

/** Makes an identity in a new database, or in the store that is given. */
export async function enrolled(
  relay: ClientRelay,
  given?: Store,
): Promise<{ name: string; store: Store }> {
  const name = crypto.randomUUID()
  const store = given ?? (await openIndexedDbStore(name))
  const enroll = (csrPem: string): Promise<string> => certifyKim(relay, csrPem)
  await createIdentity({ name: 'kim', store, enroll })
  return { name, store }
}

/** Connects as a page that was just loaded: with nothing but what the browser kept, or the store that is given. */
export async function load(relay: ClientRelay, from: string | Store): Promise<Keyferry> {
  const store = typeof from === 'string' ? await openIndexedDbStore(from) : from
  const { identity } = (await store.read())!
  const client = await relay.connect({ store, identity: identity! })
  onTestFinished(() => client.close())
  return client
}
