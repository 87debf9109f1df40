/** Deliveries as relays write them: apart from how clients read them, since neither needs the other. See delivery.ts. */
import { base64url, concat, fromUtf8, u32, utf8, type Bytes } from './bytes.ts'
// Erased as a whole: a relay decodes none.
import type { Delivery } from './delivery.ts'

/** A delivery with its envelopes as they are stored: encoded. */
export interface StoredDelivery extends Pick<Delivery, 'crls' | 'keyrings'> {
  catalog: Bytes | null
  head: Bytes
  refusals: Bytes[]
  trust: Bytes[]
}

/** The body of a delivery: stored envelopes are JSON already. */
export function encodeDelivery(delivery: StoredDelivery): Bytes {
  const { catalog, crls, head, keyrings, refusals, trust } = delivery
  const texts = (envelopes: readonly Bytes[]): string => `[${envelopes.map(fromUtf8).join(',')}]`
  const write = (value: unknown): string =>
    JSON.stringify(value, (_, one: unknown) => (one instanceof Uint8Array ? base64url(one) : one))
  const items = keyrings.map((item) => ({
    ...item,
    bundle: item.bundle.length,
    manifest: item.manifest.length,
  }))
  const fields = [
    `"catalog":${catalog && fromUtf8(catalog)}`,
    `"crls":${write(crls.map((der) => der.length))}`,
    `"head":${fromUtf8(head)}`,
    `"keyrings":${write(items)}`,
    `"refusals":${texts(refusals)}`,
    `"trust":${texts(trust)}`,
  ]
  const json = utf8(`{${fields.join(',')}}`)
  const objects = keyrings.flatMap(({ bundle, manifest }) => [bundle, manifest])
  return concat(u32(json.length), json, ...crls, ...objects)
}
