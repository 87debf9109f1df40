/** What derivers send to relays and ask of them, apart from what clients load (docs/PROTOCOL.md, "HTTP"). */
import { concat, Reader, u32, type Bytes } from './bytes.ts'
import { envelopeSchema } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import {
  MAX_BATCH_OBJECTS,
  MAX_CRL,
  MAX_HEADS_PAGE,
  MAX_OBJECT,
  MAX_TRUST_STEPS,
} from './limits.ts'
import { bytes, int, list, object, orNull, text, type Infer } from './schema.ts'

/** Revocation lists of a body. */
const crlList = list(bytes(1, MAX_CRL), 0, 64)

/** Body of `POST /v1/tenants`. */
export const enrolmentSchema = object({ crls: crlList, invite: text(200), trust: envelopeSchema })
/** Body of `POST /v1/{tenant}/push`. */
export const pushSchema = object({
  catalog: orNull(envelopeSchema),
  crls: crlList,
  head: envelopeSchema,
})
/** Answer of `GET /v1/{tenant}/documents`; before the first push there is no head. */
export const documentsSchema = object({
  catalog: orNull(envelopeSchema),
  crls: list(bytes(1, MAX_CRL), 0, 256),
  head: orNull(envelopeSchema),
  trust: list(envelopeSchema, 1, MAX_TRUST_STEPS),
})
/** What a client asks a deriver with: an item of the mailbox. */
export const requestSchema = object({ package: envelopeSchema, request: envelopeSchema })
/** Answer of `GET /v1/{tenant}/requests`. */
export const mailboxSchema = object({ next: int(), requests: list(requestSchema, 0, 100) })
/** Answer of `GET /v1/{tenant}/heads`. */
export const headsSchema = object({ heads: list(envelopeSchema, 0, MAX_HEADS_PAGE), next: int() })
/** Body of `POST /v1/{tenant}/answers`: requests up to and including `done` are dealt with. */
export const answersSchema = object({ done: int(), refusals: list(envelopeSchema, 0, 1_000) })

export type Push = Infer<typeof pushSchema>
export type Documents = Infer<typeof documentsSchema>
export type RequestBody = Infer<typeof requestSchema>
export type Mailbox = Infer<typeof mailboxSchema>

/** Objects behind one another, each after its length. */
export function encodeBatch(objects: readonly Bytes[]): Bytes {
  return concat(...objects.flatMap((one) => [u32(one.length), one]))
}

/** Throws `ERR_MALFORMED`, `ERR_TOO_LARGE` for more than 10,000 objects. */
export function decodeBatch(batch: Bytes): Bytes[] {
  const reader = new Reader(batch)
  const out: Bytes[] = []
  while (reader.left > 0) {
    // PROTOCOL [dec-1]
    if (out.length === MAX_BATCH_OBJECTS) throw new KeyferryError('ERR_TOO_LARGE')
    const length = reader.u32()
    out.push(reader.take(length > MAX_OBJECT ? Number.POSITIVE_INFINITY : length))
  }
  return out
}
