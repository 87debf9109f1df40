/** Messages of the event stream (docs/PROTOCOL.md, "HTTP"): hints to fetch, apart from what a page loads first. */
import type { Bytes } from './bytes.ts'
import { MAX_WHOLE } from './limits.ts'
import { bytes, object, oneOf, type Schema } from './schema.ts'

/** A message on the event stream. */
export type Event =
  | { type: 'head'; hash: Bytes }
  /** `delivery` as its body: whoever takes it decodes and verifies it as the answer to a call. */
  | { type: 'delivery'; hash: Bytes; delivery: Bytes }
  | { type: 'request' }
  | { type: 'refusal' }

const headEvent = object({ hash: bytes(32), type: oneOf('head') })
const deliveryEvent = object({
  delivery: bytes(0, (MAX_WHOLE * 3) / 4),
  hash: bytes(32),
  type: oneOf('delivery'),
})
const plainEvent = object({ type: oneOf('request', 'refusal') })

/** Schema of an {@link Event}. */
export const eventSchema: Schema<Event> = (value, path) =>
  typeof value !== 'object' || value === null || !('hash' in value)
    ? plainEvent(value, path)
    : 'delivery' in value
      ? deliveryEvent(value, path)
      : headEvent(value, path)
