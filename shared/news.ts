/** Waiting for news by a call (docs/PROTOCOL.md, "HTTP"): apart from the rest of the interface, since few clients need it. */
import { MAX_WAIT } from './limits.ts'
import { bytesOrEmpty, int, list, object, oneOf, text, type Infer } from './schema.ts'

/** Body of `POST /v1/{tenant}/wait`: `next` of the answer before, empty at first, and how long to wait. */
export const waitSchema = object({ after: text(64), seconds: int(0, MAX_WAIT) })
/** Answer of `POST /v1/{tenant}/wait`. Without events something may have been missed; `head` is empty unless there is a new one. */
export const newsSchema = object({
  events: list(oneOf('head', 'refusal'), 0, 2),
  head: bytesOrEmpty(32),
  next: text(64),
})
/** The same as a relay writes it, `head` in base64url. */
export type News = Omit<Infer<typeof newsSchema>, 'head'> & { head: string }
