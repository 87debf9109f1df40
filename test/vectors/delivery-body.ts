/** Bodies of deliveries written without the relay's encoder, also of what no relay would send. */
import { base64url, concat, fromUtf8, Reader, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { OCTETS_TYPE } from '../../shared/api.ts'

/** A delivery, or something like one: what is no object goes as it is into the JSON. */
export interface AnyDelivery extends Record<string, unknown> {
  crls: readonly Bytes[]
  keyrings: readonly (Record<string, unknown> & { bundle: Bytes; manifest: Bytes })[]
}

/** JSON of so many bytes, and what is behind it. */
export function frame(json: Bytes, ...objects: readonly Bytes[]): Bytes {
  return concat(u32(json.length), json, ...objects)
}

/** The body of a delivery. */
export function writeDelivery({ crls, keyrings, ...others }: AnyDelivery): Bytes {
  const fields = {
    ...others,
    crls: crls.map((der) => der.length),
    keyrings: keyrings.map((item) => ({
      ...item,
      bundle: item.bundle.length,
      manifest: item.manifest.length,
    })),
  }
  const text = JSON.stringify(fields, (_, one: unknown) =>
    one instanceof Uint8Array ? base64url(one) : one,
  )
  const objects = keyrings.flatMap(({ bundle, manifest }) => [bundle, manifest])
  return frame(utf8(text), ...crls, ...objects)
}

/** A body whose JSON is another text. */
export function rewriteJson(body: Bytes, change: (text: string) => string): Bytes {
  const reader = new Reader(body)
  const text = fromUtf8(reader.take(reader.u32()))
  return frame(utf8(change(text)), reader.take(reader.left))
}

/** An answer with this body. */
export function deliveryAnswer(body: Bytes): Response {
  return new Response(body, { headers: { 'content-type': OCTETS_TYPE } })
}

/** Answers with a delivery. */
export function answerDelivery(delivery: AnyDelivery): Response {
  return deliveryAnswer(writeDelivery(delivery))
}
