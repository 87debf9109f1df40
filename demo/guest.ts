/** A device that joins for real and is then revoked: what a relay hides has to have happened. */
import { connect, createMemoryStore } from '../web/index.ts'
import { createIdentity } from '../web/enroll.ts'
import { type Customer } from './customer.ts'

/** No session can have this name. */
export const GUEST = 'lost-laptop'

/** Milliseconds. */
const TIMEOUT = 20_000

/** Makes the device a member of every keyring, and ends it. Throws what the client throws. */
export async function joinGuest(customer: Customer): Promise<void> {
  const store = createMemoryStore()
  const enroll = (csr: string): Promise<string> => customer.certify(GUEST, csr)
  const identity = await createIdentity({ name: GUEST, store, enroll, algorithm: 'ES256' })
  const config = await customer.config()
  const keyferry = await connect({ config, identity, store, WebSocket: null })
  try {
    const options = { timeout: TIMEOUT }
    await Promise.all(keyferry.keyrings.map((name) => keyferry.keyring(name, options)))
  } finally {
    keyferry.close()
  }
}
