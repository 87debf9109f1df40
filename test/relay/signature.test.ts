/** Signatures of calls and tickets (docs/PROTOCOL.md [relay-2]). */
import { signedCalls } from '../lib/signed-calls.ts'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JSON_TYPE, paths, SUBPROTOCOL } from '../../shared/api.ts'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { signBody } from '../../shared/credentials.ts'
import { signCall } from '../../shared/http-signature.ts'
import { signTicket } from '../../shared/ticket.ts'
import { send, toJson, type Answer, pushFirst } from '../lib/calls.ts'
import { address, startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  issueSigner,
  makeCa,
  makeClient,
  makeWorld,
  seconds,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
let world: World
let alice: Client
beforeAll(async () => {
  relay = await startRelay()
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await pushFirst(relay, world, [alice])
})
afterAll(() => relay.close())

/** Sends a WebSocket handshake, which `fetch` does not do. */
function upgrade(path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, relay.url), {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...address(),
        ...headers,
      },
    })
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', reject)
    request.end()
  })
}

describe('[relay-2] signature', () => {
  const call = (headers: Record<string, string>, now?: number): Promise<Answer> =>
    send(relay, paths.head(world.tenant), world.deriver, {
      headers,
      ...(now === undefined ? {} : { now }),
    })

  it('a good one is taken', async () => {
    expect((await call({})).status).toBe(200)
  })

  it.each([...signedCalls])(
    '[relay-2] $name without a signature is refused',
    async ({ path, options }) => {
      const answer = await send(relay, path(world.tenant), null, options)
      expect(answer).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
    },
  )

  it.each([
    ['too old', -200],
    ['from the future', 400],
  ])('[relay-2] one that is %s is refused', async (_, later) => {
    expect(await call({}, seconds() + later)).toMatchObject({
      status: 401,
      code: 'ERR_UNAUTHORIZED',
    })
  })

  it('[relay-2] what a client posts with the credentials of another call is refused', async () => {
    const url = new URL(paths.calls(world.tenant), relay.url)
    const body = toJson({ after: '', call: 'wait', seconds: 0 })
    const post = (posted: Bytes): Promise<Answer> =>
      send(relay, url.pathname, null, { body: posted })
    const good = await signBody({ method: 'POST', url, body }, alice.signer, seconds())
    expect((await post(good)).status).toBe(200)
    const credentials = good.subarray(0, good.length - body.length)
    // All calls of a client go there: which one it is has been signed, too.
    const others = [
      toJson({ after: '', call: 'wait', seconds: 1 }),
      toJson({ call: 'object', hash: world.cas.client.keyId }),
      toJson({ after: '', call: 'other', seconds: 0 }),
      concat(utf8('\n'), body),
      new Uint8Array(),
    ].map((other) => concat(credentials, other))
    const elsewhere = new URL(paths.calls('a'.repeat(52)), relay.url)
    const moved = await signBody({ method: 'POST', url: elsewhere, body }, alice.signer, seconds())
    const old = await signBody({ method: 'POST', url, body }, alice.signer, seconds() - 200)
    for (const posted of [
      ...others,
      moved,
      old,
      body,
      concat(utf8('{}\n'), body),
      utf8('\n'),
      utf8(''),
    ])
      expect(await post(posted)).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
  })

  it('[relay-2] what signs a call of a client in headers is refused, and a deriver’s call in its body', async () => {
    const url = new URL(paths.calls(world.tenant), relay.url)
    const body = toJson({ after: '', call: 'wait', seconds: 0 })
    const headers = await signCall({ method: 'POST', url, body }, alice.signer, seconds())
    const inHeaders = await send(relay, url.pathname, null, { body, headers })
    expect(inHeaders).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
    const push = new URL(paths.push(world.tenant), relay.url)
    const own = { method: 'POST', url: push, body: toJson({}) }
    const posted = await signBody(own, world.deriver, seconds())
    const inBody = await send(relay, push.pathname, null, { body: posted })
    expect(inBody).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
  })

  it.each([
    ['method', 'POST', '/head'],
    ['path', 'GET', '/requests'],
    ['query', 'GET', '/head?x'],
  ])('[relay-2] a signature over another %s is refused', async (_, method, path) => {
    const url = new URL(`/v1/${world.tenant}${path}`, relay.url)
    const headers = await signCall(
      { method, url, body: new Uint8Array() },
      world.deriver,
      seconds(),
    )
    expect(await send(relay, paths.head(world.tenant), null, { headers })).toMatchObject({
      status: 401,
    })
  })

  it('[relay-2] a signature over another authority is refused', async () => {
    const url = new URL(paths.head(world.tenant), 'https://other.example')
    const headers = await signCall(
      { method: 'GET', url, body: new Uint8Array() },
      world.deriver,
      seconds(),
    )
    expect(await send(relay, url.pathname, null, { headers })).toMatchObject({ status: 401 })
  })

  it.each([
    ['signature-input', 'keyferry=()'],
    ['signature-input', 'sig1=("@method");created=1'],
    ['signature', 'keyferry=:AAAA:'],
    ['signature', 'other'],
    ['keyferry-certificates', ''],
    ['keyferry-certificates', 'AAAA'],
    ['keyferry-certificates', 'A,A,A,A,A'],
    ['content-digest', 'sha-512=:AAAA:'],
  ])('[relay-2] %s: %s is refused', async (name, value) => {
    expect(await call({ [name]: value })).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
  })
})

describe('tickets', () => {
  const url = (): URL => new URL(paths.events(world.tenant), relay.url)
  const withTicket = (ticket: string): Record<string, string> => ({
    'sec-websocket-protocol': `${SUBPROTOCOL}, ${ticket}`,
  })

  it('both roles get in', async () => {
    for (const signer of [world.deriver, alice.signer]) {
      const ticket = await signTicket(url(), signer, world.now)
      expect(await upgrade(url().pathname, withTicket(ticket))).toBe(101)
    }
  })

  it('[relay-2] without a ticket, with rubbish, with an old one: refused', async () => {
    const old = await signTicket(url(), alice.signer, world.now - 200)
    const elsewhere = await signTicket(new URL('/v1/x/events', relay.url), alice.signer, world.now)
    for (const headers of [{}, withTicket('AAAA'), withTicket(old), withTicket(elsewhere)]) {
      expect(await upgrade(url().pathname, headers)).toBe(401)
    }
  })

  it('[relay-3] a ticket of another CA is refused', async () => {
    const stranger = await issueSigner(
      await makeCa('client', world.now),
      uriOf('client', 'eve'),
      world.now,
    )
    const ticket = await signTicket(url(), stranger, world.now)
    expect(await upgrade(url().pathname, withTicket(ticket))).toBe(404)
  })

  it('[relay-1] without an upgrade there is no stream', async () => {
    const ticket = await signTicket(url(), alice.signer, world.now)
    const answer = await send(relay, url().pathname, null, {
      headers: withTicket(ticket),
      type: JSON_TYPE,
    })
    expect(answer).toMatchObject({ status: 400, code: 'ERR_MALFORMED' })
  })
})
