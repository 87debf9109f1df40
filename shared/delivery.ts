/**
 * Deliveries as they travel (docs/PROTOCOL.md, "HTTP"): what is small in JSON, and behind it, as they are, the objects of which it says the lengths. Nothing is verified
 * here.
 */
import { MEMBER_LEAF } from './bundle.ts'
import { Reader, type Bytes } from './bytes.ts'
import { envelopeSchema } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { parseJson } from './json.ts'
import {
  MAX_BUNDLE,
  MAX_CRL,
  MAX_DELIVERY,
  MAX_KEYRINGS_PER_REQUEST,
  MAX_MANIFEST,
  MAX_RELEASE,
  MAX_TRUST_STEPS,
  MAX_WELCOME,
} from './limits.ts'
import { bytes, int, list, object, orNull, type Infer } from './schema.ts'

const proof = object({ index: int(0, 0xffffffff), path: list(bytes(32), 0, 32) })

const itemSchema = object({
  bundle: int(0, MAX_BUNDLE),
  keyring: bytes(16),
  manifest: int(0, MAX_MANIFEST),
  manifestProof: proof,
  member: orNull(object({ leaf: bytes(MEMBER_LEAF), proof })),
  release: bytes(1, MAX_RELEASE),
  releaseProof: proof,
  welcome: bytes(0, MAX_WELCOME),
})

/** The JSON of a delivery: of lists, bundles and manifests it has the lengths. */
export const deliverySchema = object({
  catalog: orNull(envelopeSchema),
  crls: list(int(1, MAX_CRL), 0, 64),
  head: envelopeSchema,
  keyrings: list(itemSchema, 0, MAX_KEYRINGS_PER_REQUEST),
  refusals: list(envelopeSchema, 0, MAX_KEYRINGS_PER_REQUEST),
  trust: list(envelopeSchema, 0, MAX_TRUST_STEPS),
})

/** A keyring of a delivery; of its objects, those that the client holds already are empty. */
export type DeliveredKeyring = Omit<Infer<typeof itemSchema>, 'bundle' | 'manifest'> & {
  bundle: Bytes
  manifest: Bytes
}
/** Answer to the call `delivery`. */
export type Delivery = Omit<Infer<typeof deliverySchema>, 'crls' | 'keyrings'> & {
  crls: Bytes[]
  keyrings: DeliveredKeyring[]
}

/** The delivery of a body; lists, bundles and manifests are views of it. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_SCHEMA`, `ERR_NOT_CANONICAL`. */
export function decodeDelivery(body: Bytes): Delivery {
  // PROTOCOL [dec-1]
  if (body.length > MAX_DELIVERY) throw new KeyferryError('ERR_TOO_LARGE')
  const reader = new Reader(body)
  const parts = deliverySchema(parseJson(reader.take(reader.u32()), MAX_DELIVERY), '')
  const take = (length: number): Bytes => reader.take(length)
  // In the order in which they are there.
  const delivery = {
    ...parts,
    crls: parts.crls.map(take),
    keyrings: parts.keyrings.map((item) => ({
      ...item,
      bundle: take(item.bundle),
      manifest: take(item.manifest),
    })),
  }
  // PROTOCOL [dec-4]
  reader.end()
  return delivery
}
