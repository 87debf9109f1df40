/** The relay's HTTP interface, as relay, deriver and client share it (docs/PROTOCOL.md, "HTTP"). */
import { type Envelope } from './envelope.ts'
import { type ErrorCode } from './errors.ts'

/** WebSocket subprotocol of the event stream. */
export const SUBPROTOCOL = 'keyferry.v1'
/** Media types. */
export const JSON_TYPE = 'application/json'
/** Of what clients post: a page may, without asking first. */
export const TEXT_TYPE = 'text/plain'
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
