/** Deliveries that a relay sends unasked (docs/PROTOCOL.md, "HTTP"): which are worth a look. Loaded with the first one. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { decodeDelivery } from '../shared/delivery.ts'
import { documentDigest } from '../shared/envelope.ts'
import { isKeyferryError, type KeyferryError } from '../shared/errors.ts'
import { isCurrent } from './state.ts'
import { type StoredState } from './store.ts'

/**
 * False under the head that was accepted already, since it would only keep the client from asking other relays, and where a keyring is left out that the client holds
 * under that head, since it would only take that away. Nothing is verified here. Throws as {@link decodeDelivery}.
 */
async function isWelcome(offered: Bytes, state: StoredState): Promise<boolean> {
  const { head, keyrings } = decodeDelivery(offered)
  const { accepted } = state
  if (accepted !== null && equal(await documentDigest(head), accepted.head.hash)) return false
  const held = Object.values(state.keyrings).filter(({ id }) => isCurrent(state, id))
  return held.every(({ id }) => keyrings.some(({ keyring }) => equal(keyring, id)))
}

/** Whether `take` has taken a delivery under the state by which it was judged. Where it refuses, what a relay answers counts: nobody asked for this one. Only a contradiction is told, since `take` has kept the proof. */
export async function takeOffered(
  offered: Bytes,
  state: StoredState,
  take: (base: StoredState) => Promise<boolean>,
  warn: (error: KeyferryError) => void,
): Promise<boolean> {
  try {
    return (await isWelcome(offered, state)) && (await take(state))
  } catch (error) {
    if (isKeyferryError(error, 'ERR_FORK')) warn(error)
    return false
  }
}
