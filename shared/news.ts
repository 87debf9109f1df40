/** Waiting for news by a call (docs/PROTOCOL.md, "HTTP"): apart from the rest of the interface, since few clients need it. */
import { bytesOrEmpty, list, object, oneOf, text, type Infer } from './schema.ts'

/** Answer to the call `wait`. Without events something may have been missed; `head` is empty unless there is a new one. */
export const newsSchema = object({
  events: list(oneOf('head', 'refusal'), 0, 2),
  head: bytesOrEmpty(32),
  next: text(64),
})
/** The same as a relay writes it, `head` in base64url. */
export type News = Omit<Infer<typeof newsSchema>, 'head'> & { head: string }
