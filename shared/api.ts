/** The relay's HTTP interface, as relay, deriver and client share it (docs/PROTOCOL.md, "HTTP"). */
import type { Bytes } from './bytes.ts'
import { envelopeSchema, type Envelope } from './envelope.ts'
import { type ErrorCode } from './errors.ts'
import {
  MAX_BUNDLE,
  MAX_KEYRINGS_PER_REQUEST,
  MAX_MANIFEST,
  MAX_RELEASE,
  MAX_TRUST_STEPS,
  MAX_WELCOME,
} from './limits.ts'
import { MEMBER_LEAF } from './bundle.ts'
import { bytes, int, list, object, orNull, type Infer, type Schema } from './schema.ts'

/** WebSocket subprotocol of the event stream. */
export const SUBPROTOCOL = 'keyferry.v1'
/** Media types. */
export const JSON_TYPE = 'application/json'
export const OCTETS_TYPE = 'application/octet-stream'
export const PROBLEM_TYPE = 'application/problem+json'
/** Where a list of objects goes on: the hash of its last one, base64url. */
export const NEXT_HEADER = 'keyferry-next'

/** The two paths that clients have, apart from the others: these are all that a page loads. */
export const callsPath = (tenant: string): string => `/v1/${tenant}/calls`
export const eventsPath = (tenant: string): string => `/v1/${tenant}/events`

/** Paths of the relay, for a tenant id. */
export const paths = {
  tenants: '/v1/tenants',
  health: '/healthz',
  trust: (tenant: string): string => `/v1/${tenant}/trust`,
  objects: (tenant: string): string => `/v1/${tenant}/objects`,
  object: (tenant: string, hash: string): string => `/v1/${tenant}/objects/${hash}`,
  documents: (tenant: string): string => `/v1/${tenant}/documents`,
  push: (tenant: string): string => `/v1/${tenant}/push`,
  head: (tenant: string): string => `/v1/${tenant}/head`,
  heads: (tenant: string): string => `/v1/${tenant}/heads`,
  calls: callsPath,
  requests: (tenant: string): string => `/v1/${tenant}/requests`,
  answers: (tenant: string): string => `/v1/${tenant}/answers`,
  events: eventsPath,
} as const

/** Revocation lists of a body. */
export const crlList: Schema<Bytes[]> = list(bytes(1, 1_048_576), 0, 64)

const proof = object({ index: int(0, 0xffffffff), path: list(bytes(32), 0, 32) })

const deliveredKeyring = object({
  bundle: bytes(0, MAX_BUNDLE),
  keyring: bytes(16),
  manifest: bytes(0, MAX_MANIFEST),
  manifestProof: proof,
  member: orNull(object({ leaf: bytes(MEMBER_LEAF), proof })),
  release: bytes(1, MAX_RELEASE),
  releaseProof: proof,
  welcome: bytes(0, MAX_WELCOME),
})

/** Answer to the call `delivery`. */
export const deliverySchema = object({
  catalog: orNull(envelopeSchema),
  crls: crlList,
  head: envelopeSchema,
  keyrings: list(deliveredKeyring, 0, MAX_KEYRINGS_PER_REQUEST),
  refusals: list(envelopeSchema, 0, MAX_KEYRINGS_PER_REQUEST),
  trust: list(envelopeSchema, 0, MAX_TRUST_STEPS),
})

export type Delivery = Infer<typeof deliverySchema>
export type DeliveredKeyring = Infer<typeof deliveredKeyring>
/** HTTP status of the errors that the relay answers with. Others are 400. */
export const STATUS: Partial<
  Record<ErrorCode, 401 | 403 | 404 | 405 | 408 | 409 | 412 | 413 | 415 | 422 | 429 | 500>
> = {
  ERR_UNAUTHORIZED: 401,
  ERR_NOT_FOUND: 404,
  ERR_METHOD: 405,
  ERR_ROLLBACK: 409,
  ERR_FORK: 409,
  ERR_EXISTS: 409,
  ERR_SUSPENDED: 403,
  ERR_TIMEOUT: 408,
  ERR_CONFLICT: 412,
  ERR_TOO_LARGE: 413,
  ERR_MEDIA_TYPE: 415,
  ERR_INCOMPLETE: 422,
  ERR_QUOTA: 429,
  ERR_INTERNAL: 500,
}

/** Body of a problem document (RFC 9457). `head` only with `ERR_CONFLICT`, `crl` (base64url) only with `ERR_NOT_FOUND`. */
export interface Problem {
  code: ErrorCode
  status: number
  title: string
  type: string
  head?: Envelope | null
  crl?: string
}
