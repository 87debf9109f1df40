/** Calls of the relay's HTTP interface, signed or bent, over any `fetch`. */
import { JSON_TYPE, OCTETS_TYPE, paths, TEXT_TYPE } from '../../shared/api.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { base64url, utf8, type Bytes } from '../../shared/bytes.ts'
import { type ClientCall, type DeliveryRequest } from '../../shared/client-calls.ts'
import { signBody } from '../../shared/credentials.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { signCall, type Signer } from '../../shared/http-signature.ts'
import { parseJson } from '../../shared/json.ts'
import { requireListed } from './openapi.ts'
import { makeKeyring, publish, type Keyring, type Publication } from './publication.ts'
import { crlsOf, seconds, type Client, type World } from './world.ts'

export const INVITE = 'correct horse battery staple'

/** A relay as tests reach it. */
export interface Relay {
  url: URL
  fetch: (url: URL, init: RequestInit) => Promise<Response>
}

/** What a relay answered; `code` of a problem document. */
export interface Answer {
  status: number
  code: string | undefined
  headers: Headers
  body: Bytes
  json: unknown
}

/** One call. Without a signer it is not signed; `sign` changes what the signature is made over. */
export interface CallOptions {
  method?: 'GET' | 'POST' | 'OPTIONS' | 'PUT' | 'DELETE'
  body?: Bytes
  type?: string
  headers?: Record<string, string>
  now?: number
}

/** JSON in which bytes are base64url. */
export function toJson(value: unknown): Bytes {
  return utf8(
    JSON.stringify(value, (_, item: unknown) =>
      item instanceof Uint8Array ? base64url(item) : item,
    ),
  )
}

async function read(response: Response): Promise<Answer> {
  const body = new Uint8Array(await response.arrayBuffer())
  const isJson = response.headers.get('content-type')?.includes('json') === true
  const json = isJson ? parseJson(body, 16_777_216) : undefined
  const code = (json as { code?: string } | undefined)?.code
  return { status: response.status, code, headers: response.headers, body, json }
}

/** Sends one call as it is given. Throws where docs/openapi.json does not list the answer. */
export async function send(
  relay: Relay,
  path: string,
  signer: Signer | null,
  options: CallOptions = {},
): Promise<Answer> {
  const isPosted = path.endsWith('/calls')
  const { type = isPosted ? TEXT_TYPE : JSON_TYPE } = options
  const method = options.method ?? (options.body === undefined ? 'GET' : 'POST')
  const url = new URL(path, relay.url)
  const call = { method, url, body: options.body ?? new Uint8Array() }
  const now = options.now ?? seconds()
  const body = isPosted && signer !== null ? await signBody(call, signer, now) : options.body
  const signed = isPosted || signer === null ? {} : await signCall(call, signer, now)
  const headers = {
    ...(body === undefined ? {} : { 'content-type': type }),
    ...signed,
    ...options.headers,
  }
  const init = { method, headers, ...(body === undefined ? {} : { body }) }
  const answer = await read(await relay.fetch(url, init))
  requireListed(method, url.pathname, answer)
  return answer
}

export function enrol(
  relay: Relay,
  world: World,
  invite: string = INVITE,
  crls: Bytes[] = crlsOf(world),
): Promise<Answer> {
  return send(relay, paths.tenants, null, {
    body: toJson({ crls, invite, trust: world.trusts[0] }),
  })
}

export function postTrust(relay: Relay, world: World, trust: Envelope): Promise<Answer> {
  return send(relay, paths.trust(world.tenant), null, { body: toJson(trust) })
}

export function upload(relay: Relay, world: World, objects: Bytes[]): Promise<Answer> {
  return send(relay, paths.objects(world.tenant), world.deriver, {
    body: encodeBatch(objects),
    type: OCTETS_TYPE,
  })
}

/** Sends the head alone. `previous` is the head to be replaced. */
export function pushHead(
  relay: Relay,
  world: World,
  publication: Pick<Publication, 'catalog' | 'crls' | 'head'>,
  previous: Bytes | null,
  signer: Signer = world.deriver,
): Promise<Answer> {
  const { catalog, crls, head } = publication
  return send(relay, paths.push(world.tenant), signer, {
    body: toJson({ catalog, crls, head }),
    headers: { 'if-match': previous === null ? '"none"' : `"${base64url(previous)}"` },
  })
}

/** Uploads and pushes; throws unless both are taken. */
export async function pushAll(
  relay: Relay,
  world: World,
  publication: Publication,
  previous: Bytes | null,
): Promise<void> {
  for (const answer of [
    await upload(relay, world, publication.objects),
    await pushHead(relay, world, publication, previous),
  ]) {
    if (answer.status !== 204)
      throw new Error(`the relay answers ${answer.status} ${answer.code ?? ''}`)
  }
}

/** A call of a client. */
export function sendCall(
  relay: Relay,
  { tenant }: Pick<World, 'tenant'>,
  signer: Signer,
  call: ClientCall,
): Promise<Answer> {
  return send(relay, paths.calls(tenant), signer, { body: toJson(call) })
}

/** Asks for a delivery as a client that has nothing yet, but for what is given. */
export function askDelivery(
  relay: Relay,
  world: World,
  client: Client,
  keyrings: Bytes[],
  ask: Partial<DeliveryRequest> = {},
): Promise<Answer> {
  return sendCall(relay, world, client.signer, {
    call: 'delivery',
    have: { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 },
    keyrings,
    package: client.packageHash,
    slots: keyrings.map(() => 0),
    ...ask,
  })
}

/** The decoded delivery of an answer. */
export function readDelivery(answer: Answer): Delivery {
  return decodeDelivery(answer.body)
}

/** A tenant of its own at a relay, with a first head: one keyring with these members. */
export async function pushFirst(
  relay: Relay,
  world: World,
  members: Client[] = [],
): Promise<{ keyring: Keyring; first: Publication }> {
  const keyring = makeKeyring('one', members)
  await enrol(relay, world)
  const first = await publish(world, [keyring])
  await pushAll(relay, world, first, null)
  return { keyring, first }
}
