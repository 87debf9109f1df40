/**
 * Deliveries as text, and those that go over a socket without being asked for (docs/PROTOCOL.md, "HTTP"): what the relay would answer to the client's last ask, under the
 * new head.
 */
import { type DeliveredKeyring } from '../shared/api.ts'
import { base64url, equal, fromUtf8, type Bytes } from '../shared/bytes.ts'
import { canonicalJson } from '../shared/json.ts'
import { MAX_WHOLE } from '../shared/limits.ts'
import { decodeRelease } from '../shared/release.ts'
import { type Deliveries, type DeliveryAsk, type DeliveryParts } from './deliver.ts'
import { type Hot } from './hot.ts'
import { writeFields } from './problem.ts'

/** Keyrings of an ask that is remembered: it stands in the attachment of a socket, which has room for 16 KiB. */
const MAX_REMEMBERED = 16

/** A keyring as text. Canonical JSON, which has no null, is that of its fields. */
function writeItem(item: DeliveredKeyring): string {
  const fields = Object.entries(item).map(([name, value]) => [
    name,
    value === null ? 'null' : canonicalJson(value),
  ])
  return writeFields(Object.fromEntries(fields) as Record<string, string>)
}

/** The answer as text: stored envelopes are JSON already. */
export function writeDelivery({
  head,
  catalog,
  trust,
  crls,
  keyrings,
  refusals,
}: DeliveryParts): string {
  const envelopes = (list: Bytes[]): string => `[${list.map(fromUtf8).join(',')}]`
  const fields = {
    catalog: catalog === null ? 'null' : fromUtf8(catalog),
    crls: JSON.stringify(crls.map(base64url)),
    head: fromUtf8(head),
    keyrings: `[${keyrings.map(writeItem).join(',')}]`,
    refusals: envelopes(refusals),
    trust: envelopes(trust),
  }
  return writeFields(fields)
}

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

/** A delivery that fits into an event, as text, and what the client would ask with after it. */
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
  const least = [...large, ...parts.crls].reduce((sum, one: Bytes) => sum + one.length, 0)
  if (least > MAX_WHOLE) return null
  const text = writeDelivery(parts)
  return text.length > MAX_WHOLE ? null : { text, next }
}
