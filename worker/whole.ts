/** Deliveries that go over a socket without being asked for (docs/PROTOCOL.md, "HTTP"): what the relay would answer to the client's last ask, under the new head. */
import { base64url, equal } from '../shared/bytes.ts'
import { encodeDelivery } from '../shared/encode-delivery.ts'
import { MAX_WHOLE } from '../shared/limits.ts'
import { decodeRelease } from '../shared/release.ts'
import { lengthOf, type Deliveries, type DeliveryAsk, type DeliveryParts } from './deliver.ts'
import { type Hot } from './hot.ts'

/** Keyrings of an ask that is remembered: it stands in the attachment of a socket, which has room for 16 KiB. */
const MAX_REMEMBERED = 16

/** An ask whose answer the client has: what it would ask with now; `null` where that is not remembered. */
export function nextAsk(
  ask: DeliveryAsk,
  parts: DeliveryParts | null | undefined,
  hot: Hot,
): DeliveryAsk | null {
  const { length } = ask.keyrings
  if (length === 0 || length > MAX_REMEMBERED || parts === undefined) return null
  if (parts === null) return ask
  const row = hot.current()!
  const objects = parts.keyrings.flatMap(({ release }, i) => {
    const { bundle, manifest, members } = decodeRelease(release)
    return [bundle, manifest, members.index, parts.places[i]!.welcomeHash]
  })
  const slots = ask.keyrings.map((id) => {
    const i = parts.keyrings.findIndex(({ keyring }) => equal(keyring, id))
    return parts.places[i]?.slot ?? 0
  })
  const trust = hot.newestTrust()?.number ?? 0
  return { ...ask, slots, have: { catalog: row.catalogNumber, head: row.hash, objects, trust } }
}

/** The body of a delivery that fits into an event, base64url, and what the client would ask with after it. */
export interface Whole {
  text: string
  next: DeliveryAsk
}

/** The delivery that a client is sent without asking; `null` where it is to fetch. */
export function wholeDelivery(ask: DeliveryAsk, deliveries: Deliveries, hot: Hot): Whole | null {
  const parts = deliveries.deliver(ask)
  const next = nextAsk(ask, parts, hot)
  if (parts == null || next === null) return null
  // Nothing large is written only to see that it is.
  const large = parts.keyrings.flatMap(({ bundle, manifest }) => [bundle, manifest])
  if (lengthOf(...large, ...parts.crls) > MAX_WHOLE) return null
  const text = base64url(encodeDelivery(parts))
  return text.length > MAX_WHOLE ? null : { text, next }
}
