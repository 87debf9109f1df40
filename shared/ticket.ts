/** Tickets that open an event stream (docs/PROTOCOL.md, "Admission"): a WebSocket of a browser has no headers to sign. */
import { base64url, fromBase64url, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import {
  makeInput,
  readInput,
  signatureBase,
  unauthorized,
  type AnySigner,
  type CallSignature,
} from './http-signature.ts'
import { encodeJson, parseJson } from './json.ts'
import { MAX_CERTIFICATES } from './limits.ts'
import { bytes, list, object, text } from './schema.ts'
import { signBytes } from './signature.ts'

const TICKET = '("@method" "@authority" "@path")'

/** A ticket that opens the event stream at `url` once, within a minute. `nonce`: 16 random bytes. */
export async function signTicket(
  url: URL,
  signer: AnySigner,
  now: number,
  nonce: Bytes = crypto.getRandomValues(new Uint8Array(16)),
): Promise<string> {
  const { key, certificates } = signer
  const parameters = await makeInput(TICKET, 'keyferry-ticket', certificates, now, nonce)
  const base = signatureBase(TICKET, parameters, { method: 'GET', url }, '')
  const signature = await signBytes(key, base)
  return base64url(encodeJson({ certificates, input: `keyferry=${parameters}`, signature }))
}

const ticketSchema = object({
  certificates: list(bytes(1, 16_384), 1, MAX_CERTIFICATES),
  input: text(400),
  signature: bytes(64),
})

/** Reads a ticket. Throws `ERR_UNAUTHORIZED`. */
export function readTicket(ticket: string, url: URL): CallSignature {
  // PROTOCOL [relay-2]
  if (ticket.length > 32_768) throw new KeyferryError('ERR_UNAUTHORIZED', 'too long a ticket')
  const { certificates, input, signature } = unauthorized('not a ticket', () =>
    ticketSchema(parseJson(fromBase64url(ticket), 32_768), ''),
  )
  return {
    ...readInput(input, TICKET, 'keyferry-ticket', { method: 'GET', url }, ''),
    certificates,
    signature,
  }
}
