/** Tickets that open an event stream (docs/PROTOCOL.md, "Admission"): a WebSocket of a browser has no headers to sign. */
import { base64url, fromBase64url, type Bytes } from './bytes.ts'
import { readCredentials, signCredentials } from './credentials.ts'
import { readOrRefuse, unauthorized, type AnySigner, type CallSignature } from './http-signature.ts'
import { MAX_CREDENTIALS } from './limits.ts'

const COMPONENTS = '("@method" "@authority" "@path")'
const TAG = 'keyferry-ticket'

/** A ticket that opens the event stream at `url` once, within a minute. `nonce`: 16 random bytes. */
export async function signTicket(
  url: URL,
  signer: AnySigner,
  now: number,
  nonce: Bytes = crypto.getRandomValues(new Uint8Array(16)),
): Promise<string> {
  const call = { method: 'GET', url }
  const once = `;nonce="${base64url(nonce)}"`
  return base64url(await signCredentials(COMPONENTS, TAG, call, '', signer, now, once))
}

/** Reads a ticket. Throws `ERR_UNAUTHORIZED`. */
export function readTicket(ticket: string, url: URL): CallSignature {
  // PROTOCOL [relay-2]
  if (ticket.length > MAX_CREDENTIALS) throw unauthorized()
  const document = readOrRefuse(() => fromBase64url(ticket))
  return readCredentials(document, COMPONENTS, TAG, { method: 'GET', url }, '')
}
