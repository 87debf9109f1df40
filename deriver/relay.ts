/**
 * The deriver's side of the relay's HTTP interface (docs/PROTOCOL.md, "HTTP"). Everything is called from here outwards: a deriver listens on
 * nothing. What a relay answers is bounded, and only a hint.
 */
import { JSON_TYPE, NEXT_HEADER, OCTETS_TYPE, paths, SUBPROTOCOL } from '../shared/api.ts'
import {
  decodeBatch,
  documentsSchema,
  encodeBatch,
  headsSchema,
  mailboxSchema,
  type Documents,
  type Mailbox,
} from '../shared/deriver-calls.ts'
import { base64url, utf8, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { ERROR_CODES } from '../shared/error-codes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { signCall, type AnySigner } from '../shared/http-signature.ts'
import { signTicket } from '../shared/ticket.ts'
import { canonicalJson, encodeJson, parseJson } from '../shared/json.ts'
import { MAX_BATCH, MAX_BATCH_OBJECTS, MAX_ENVELOPE, MAX_HEADS_ANSWER } from '../shared/limits.ts'

export const MAX_ANSWER = 16_777_216
const DEADLINE = 30_000
/** Refusals in one call: some 3 kB each. */
const ANSWERS = 256

/** Where and as whom to call. */
export interface RelayAccess {
  /** Origin of the relay. */
  url: string
  tenant: string
  signer: () => AnySigner
  /** Seconds. */
  now: () => number
  fetch?: typeof fetch
}

/** A problem that the relay reported; `head` beside `ERR_CONFLICT`. */
export class RelayProblem extends KeyferryError {
  readonly status: number
  readonly head: Envelope | null

  constructor(code: ErrorCode, status: number, message: string, head: Envelope | null) {
    super(code, message)
    this.status = status
    this.head = head
  }
}

/** Reads an answer of at most 16 MiB. Throws `ERR_TOO_LARGE`. */
export async function readBounded(response: Response): Promise<Bytes> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER)
      throw new KeyferryError('ERR_TOO_LARGE', 'the relay answers with too much')
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** What a relay's problem document says. */
export function toProblem(status: number, body: Bytes): RelayProblem {
  let code: ErrorCode = 'ERR_RELAY'
  let head: Envelope | null = null
  try {
    const problem = parseJson(body, MAX_ANSWER) as { code?: unknown; head?: unknown }
    if (typeof problem.code === 'string' && Object.hasOwn(ERROR_CODES, problem.code))
      code = problem.code as ErrorCode
    if (typeof problem.head === 'object' && problem.head !== null)
      head = decodeEnvelope(encodeJson(problem.head))
  } catch {
    // A relay that cannot even say what is wrong is a relay that does not answer.
  }
  return new RelayProblem(code, status, `the relay answers ${status}: ${ERROR_CODES[code]}`, head)
}

async function call(
  access: RelayAccess,
  method: string,
  path: string,
  body: Bytes,
  headers: Record<string, string>,
  sign: boolean,
  see: (headers: Headers) => void = () => {},
): Promise<Bytes> {
  const url = new URL(path, access.url)
  const signature = sign ? await signCall({ method, url, body }, access.signer(), access.now()) : {}
  let response: Response
  try {
    response = await (access.fetch ?? fetch)(url, {
      method,
      headers: { ...headers, ...signature },
      redirect: 'error',
      signal: AbortSignal.timeout(DEADLINE),
      ...(method === 'GET' ? {} : { body }),
    })
    const answer = await readBounded(response)
    if (response.ok) {
      see(response.headers)
      return answer
    }
    throw toProblem(response.status, answer)
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError('ERR_RELAY', `${access.url} does not answer`, { cause })
  }
}

function post(
  access: RelayAccess,
  path: string,
  body: object,
  headers: Record<string, string> = {},
  sign = true,
): Promise<Bytes> {
  return call(
    access,
    'POST',
    path,
    encodeJson(body),
    { 'content-type': JSON_TYPE, ...headers },
    sign,
  )
}

/** Enrols the tenant by its genesis trust document and the operator's invite. */
export async function enrolTenant(
  access: RelayAccess,
  trust: Envelope,
  crls: Bytes[],
  invite: string,
): Promise<void> {
  await post(access, paths.tenants, { crls, invite, trust }, {}, false)
}

/** Publishes a successor of the trust document. */
export async function postTrust(access: RelayAccess, trust: Envelope): Promise<void> {
  await post(access, paths.trust(access.tenant), trust, {}, false)
}

/** Uploads objects in batches. Sending one again changes nothing. */
export async function uploadObjects(
  access: RelayAccess,
  objects: readonly Bytes[],
  progress?: (done: number) => void,
): Promise<void> {
  for (let at = 0; at < objects.length;) {
    const batch: Bytes[] = []
    let size = 0
    for (
      let one = objects[at];
      one !== undefined && batch.length < MAX_BATCH_OBJECTS && size + one.length + 4 <= MAX_BATCH;
      one = objects[at]
    ) {
      batch.push(one)
      size += one.length + 4
      at++
    }
    await call(
      access,
      'POST',
      paths.objects(access.tenant),
      encodeBatch(batch),
      { 'content-type': OCTETS_TYPE },
      true,
    )
    progress?.(at)
  }
}

/** Flips the head. Throws a {@link RelayProblem} with `ERR_CONFLICT` or `ERR_INCOMPLETE`. */
export async function pushHead(
  access: RelayAccess,
  push: { catalog: Envelope | null; crls: Bytes[]; head: Envelope },
  ifMatch: Bytes | null,
): Promise<void> {
  const match = ifMatch === null ? '"none"' : `"${base64url(ifMatch)}"`
  // Not canonical JSON: `null` has no canonical form, and HTTP bodies need none.
  const catalog = push.catalog === null ? 'null' : canonicalJson(push.catalog)
  const body = utf8(
    `{"catalog":${catalog},"crls":${canonicalJson(push.crls)},"head":${canonicalJson(push.head)}}`,
  )
  await call(
    access,
    'POST',
    paths.push(access.tenant),
    body,
    { 'content-type': JSON_TYPE, 'if-match': match },
    true,
  )
}

/** The small documents that a relay has of the tenant. */
export async function fetchDocuments(access: RelayAccess): Promise<Documents> {
  const path = paths.documents(access.tenant)
  const body = await call(access, 'GET', path, new Uint8Array(), {}, true)
  return documentsSchema(parseJson(body, MAX_ANSWER), '')
}

/** Objects that a relay has after a hash, base64url; `next` is where to go on, or `null`. */
export async function fetchObjects(
  access: RelayAccess,
  after: string | null,
): Promise<{ bodies: Bytes[]; next: string | null }> {
  const path = paths.objects(access.tenant) + (after === null ? '' : `?after=${after}`)
  let next: string | null = null
  const body = await call(access, 'GET', path, new Uint8Array(), {}, true, (headers) => {
    next = headers.get(NEXT_HEADER)
  })
  return { bodies: decodeBatch(body), next }
}

/** Requests after a sequence number. */
export async function fetchRequests(access: RelayAccess, after: number): Promise<Mailbox> {
  const body = await call(
    access,
    'GET',
    `${paths.requests(access.tenant)}?after=${after}`,
    new Uint8Array(),
    {},
    true,
  )
  return mailboxSchema(parseJson(body, MAX_ANSWER), '')
}

/** The head that the relay holds, by its word. */
export async function fetchHead(access: RelayAccess): Promise<Envelope> {
  return decodeEnvelope(
    encodeJson(
      parseJson(
        await call(access, 'GET', paths.head(access.tenant), new Uint8Array(), {}, true),
        MAX_ENVELOPE,
      ),
    ),
  )
}

/** Heads that the relay keeps after a number: a page. */
export async function fetchHeads(
  access: RelayAccess,
  after: number,
): Promise<{ heads: Envelope[]; next: number }> {
  const path = `${paths.heads(access.tenant)}?after=${after}`
  const body = await call(access, 'GET', path, new Uint8Array(), {}, true)
  return headsSchema(parseJson(body, MAX_HEADS_ANSWER), '')
}

/**
 * Leaves refusals and says up to where requests are dealt with, in as many calls as it takes; `done` is said in the last. A relay that has no room for refusals
 * (`ERR_QUOTA`) is told that the requests are dealt with all the same: else it would hand them out again, until they end.
 */
export async function postAnswers(
  access: RelayAccess,
  done: number,
  refusals: Envelope[],
): Promise<void> {
  let at = 0
  do {
    const some = refusals.slice(at, at + ANSWERS)
    at += ANSWERS
    const path = paths.answers(access.tenant)
    try {
      await post(access, path, { done: at < refusals.length ? 0 : done, refusals: some })
    } catch (error) {
      if (isKeyferryError(error, 'ERR_QUOTA') && some.length > 0)
        await post(access, path, { done, refusals: [] })
      throw error
    }
  } while (at < refusals.length)
}

/** Opens the event stream. The caller listens for `message` and `close`. */
export async function openEvents(access: RelayAccess): Promise<WebSocket> {
  const url = new URL(paths.events(access.tenant), access.url)
  const ticket = await signTicket(url, access.signer(), access.now())
  const address = new URL(url)
  address.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(address, [SUBPROTOCOL, ticket])
}
