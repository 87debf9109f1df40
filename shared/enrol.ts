/** What browsers, phones and an app's backend say to one another at enrolment (docs/PROTOCOL.md, "Enrolment"). None of it goes to a relay. */
import { utf8, type Bytes } from './bytes.ts'
import { labelInfo } from './kdf.ts'
import { bytes, int, object, orNull, text, type Infer } from './schema.ts'

/** Bytes of a body, either way, at most. */
export const MAX_ENROLMENT = 32_768
/** Seconds that a nonce lives. */
export const ENROL_NONCE_LIFETIME = 300
/** Header that carries the session's token. */
export const CSRF_HEADER = 'keyferry-csrf'

const token = text(300, /^[A-Za-z0-9_-]+$/)

/** Answer to `GET`. `expiresAt` is seconds. */
export const enrolGrantSchema = object({ csrf: token, expiresAt: int(1), nonce: token })
export type EnrolGrant = Infer<typeof enrolGrantSchema>

/** Body of `POST`. `csr` is PEM. */
export const enrolRequestSchema = object({
  csr: text(16_000),
  nonce: token,
  proof: orNull(object({ key: bytes(44, 91), signature: bytes(64) })),
})
export type EnrolRequest = Infer<typeof enrolRequestSchema>

/** Answer 200: PEM, end-entity first. */
export const enrolAnswerSchema = object({ certificates: text(100_000) })
/** Answer 202: the code to approve, and seconds until it is worth asking again. */
export const enrolPendingSchema = object({
  code: text(20, /^[A-Z2-7-]+$/),
  retryAfter: int(1, 3600),
})

/**
 * What the old key signs so that a new one may join it: the URI that both are for, the nonce, and the certification request (DER) of the new
 * key.
 */
export function enrolStatement(uri: string, nonce: string, csr: Bytes): Bytes {
  return labelInfo('enrol', utf8(uri), utf8(nonce), csr)
}
