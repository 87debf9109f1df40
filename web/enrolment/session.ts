/** Who asks: what the app's own authentication says. */

/** A session that the app has authenticated. */
export interface EnrolSession {
  /** Names the session: tokens and nonces are bound to it. */
  id: string
  /** The URI that certificates of this session carry: `keyferry://client.…/…`. Never taken from what the page sends. */
  uri: string
  /** Seconds, when the user last proved once more who they are (passkey, second factor). */
  steppedUpAt?: number
}

/** Finds the session of a request; `null` for none. */
export type FindSession = (request: Request) => Promise<EnrolSession | null> | EnrolSession | null
