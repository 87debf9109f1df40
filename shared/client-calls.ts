/**
 * What clients ask relays for: calls to one URL, so that browsers ask once whether they may; `call` says which (docs/PROTOCOL.md, "HTTP"). Apart from the rest of
 * the interface: a client only writes them.
 */
import { envelopeSchema } from './envelope.ts'
import { MAX_KEYRINGS_PER_REQUEST, MAX_WAIT } from './limits.ts'
import {
  bytes,
  bytesOrEmpty,
  int,
  list,
  object,
  oneOf,
  text,
  type Infer,
  type Schema,
} from './schema.ts'

const schemas = {
  /** `slots` has one number per keyring. */
  delivery: object({
    call: oneOf('delivery'),
    have: object({
      catalog: int(),
      head: bytesOrEmpty(32),
      objects: list(bytes(32), 0, 4 * MAX_KEYRINGS_PER_REQUEST),
      trust: int(),
    }),
    keyrings: list(bytes(16), 0, MAX_KEYRINGS_PER_REQUEST),
    package: bytesOrEmpty(32),
    slots: list(int(0, 0xffffffff), 0, MAX_KEYRINGS_PER_REQUEST),
  }),
  /** `hash` is that of the object. */
  object: object({ call: oneOf('object'), hash: bytes(32) }),
  request: object({ call: oneOf('request'), package: envelopeSchema, request: envelopeSchema }),
  /** `after` is `next` of the answer before, empty at first. */
  wait: object({ after: text(64), call: oneOf('wait'), seconds: int(0, MAX_WAIT) }),
}

export type CallName = keyof typeof schemas
type Calls = { [N in CallName]: Infer<(typeof schemas)[N]> }
/** Any call of a client. */
export type ClientCall = Calls[CallName]
export type DeliveryCall = Calls['delivery']
export type WaitCall = Calls['wait']
/** What a delivery is asked for with. */
export type DeliveryRequest = Omit<DeliveryCall, 'call'>

const name = oneOf(...(Object.keys(schemas) as CallName[]))

/** Which call a parsed body is, whatever else is in it. Throws `ERR_SCHEMA`. */
export function callName(value: unknown): CallName {
  return name((value as { call?: unknown } | null)?.call, 'call')
}

/** Body of `POST /v1/{tenant}/calls`. */
export const callSchema: Schema<ClientCall> = (value, path) => schemas[callName(value)](value, path)
