/** Every call that a certificate signs, with the least that it can be called with. */
import { OCTETS_TYPE, paths } from '../../shared/api.ts'
import { base64url, utf8 } from '../../shared/bytes.ts'
import { type Role } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { toJson, type CallOptions } from './calls.ts'

/** One call and who may make it. */
export interface SignedCall {
  name: string
  roles: Role[]
  path: (tenant: string) => string
  options: CallOptions
}

/** A call with a JSON body. */
export const jsonBody = (value: object = {}): CallOptions => ({ body: toJson(value) })

/** The hash of an object that is nowhere. */
const NONE = base64url(sha256(utf8('none')))

const clientCalls = [
  { call: 'delivery' },
  { call: 'object', hash: NONE },
  { call: 'request' },
  { call: 'wait' },
].map((body): SignedCall => ({
  name: `POST calls, ${body.call},`,
  roles: ['client'],
  path: paths.calls,
  options: jsonBody(body),
}))

/** Every signed call, with who may make it. */
export const signedCalls: SignedCall[] = [
  {
    name: 'POST objects',
    roles: ['deriver'],
    path: paths.objects,
    options: { body: utf8(''), type: OCTETS_TYPE },
  },
  { name: 'POST push', roles: ['deriver'], path: paths.push, options: jsonBody() },
  { name: 'GET head', roles: ['deriver'], path: paths.head, options: {} },
  { name: 'GET heads', roles: ['deriver', 'client'], path: paths.heads, options: {} },
  { name: 'GET documents', roles: ['deriver'], path: paths.documents, options: {} },
  { name: 'GET objects', roles: ['deriver'], path: paths.objects, options: {} },
  ...clientCalls,
  { name: 'GET requests', roles: ['deriver'], path: paths.requests, options: {} },
  { name: 'POST answers', roles: ['deriver'], path: paths.answers, options: jsonBody() },
  {
    name: 'GET object',
    roles: ['deriver'],
    path: (tenant) => paths.object(tenant, NONE),
    options: {},
  },
]
