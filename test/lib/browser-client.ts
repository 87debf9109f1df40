/** A client in a browser: enrolled into IndexedDB, and loaded out of it again as a page would. */
import { onTestFinished } from 'vitest'
import { parseCsr } from '../../shared/csr.ts'
import { issueLeaf } from '../../shared/issue.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { createIdentity } from '../../web/enroll.ts'
import { openIndexedDbStore, type Keyferry, type Store } from '../../web/index.ts'
import { type ClientRelay } from './client-relay.ts'
import { CLIENT_AUTH, DAY, random, uriOf } from './world.ts'

/** Makes an identity in a new database, or in the store that is given. */
export async function enrolled(
  relay: ClientRelay,
  given?: Store,
): Promise<{ name: string; store: Store }> {
  const name = crypto.randomUUID()
  const store = given ?? (await openIndexedDbStore(name))
  const enroll = async (csrPem: string): Promise<string> => {
    const { spki } = await parseCsr(decodePem(csrPem, 'CERTIFICATE REQUEST')[0]!)
    const certificate = await issueLeaf({
      issuer: relay.world.cas.client,
      spki,
      commonName: 'kim',
      uri: uriOf('client', 'kim'),
      eku: [CLIENT_AUTH],
      notBefore: relay.now - 60,
      notAfter: relay.now + 30 * DAY,
      random,
    })
    return encodePem('CERTIFICATE', certificate)
  }
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
