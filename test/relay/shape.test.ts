/** What is refused before anybody looks who calls (docs/PROTOCOL.md [relay-1]). */
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { jsonBody, signedCalls } from '../lib/signed-calls.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OCTETS_TYPE, paths, TEXT_TYPE } from '../../shared/api.ts'
import { base64url, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { MAX_BATCH, MAX_POST, MAX_REQUEST } from '../../shared/limits.ts'
import { signCall } from '../../shared/http-signature.ts'
import { send, type Answer, type CallOptions, pushFirst } from '../lib/calls.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { makeClient, makeWorld, seconds, type Client, type World } from '../lib/world.ts'

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

const LOST = 'Error: Network connection lost.'

describe('[relay-1] shape', () => {
  it.each([
    ['/', 'GET'],
    // Nor does it serve a page or code.
    ['/index.html', 'GET'],
    ['/keyferry.js', 'GET'],
    ['/v1', 'GET'],
    ['/v2/tenants', 'POST'],
    ['/v1/tenants/x', 'GET'],
    ['/v1/short/head', 'GET'],
    [`/v1/${'a'.repeat(52)}/nothing`, 'GET'],
    [`/v1/${'a'.repeat(52)}/head/more`, 'GET'],
    // What a call is stands in its body, not in its path.
    [`/v1/${'a'.repeat(52)}/calls/delivery`, 'POST'],
    [`/v1/${'a'.repeat(52)}/delivery`, 'POST'],
    [`/v1/${'a'.repeat(52)}/wait`, 'POST'],
    [`/v1/${'A'.repeat(52)}/head`, 'GET'],
    // A path is spelled in one way: what stands before a relay tells calls apart by it.
    [`/v1/${'a'.repeat(52)}/calls/`, 'POST'],
    [`/v1/${'a'.repeat(52)}/call%73`, 'POST'],
    [`/v1/%61${'a'.repeat(51)}/calls`, 'POST'],
    ['/v1/tenants/', 'POST'],
    ['/healthz/', 'GET'],
    ['/health%7a', 'GET'],
    // Certificates are the customer's business: a relay has no part in enrolment.
    ['/enroll', 'POST'],
    [`/v1/${'a'.repeat(52)}/enroll`, 'POST'],
  ] as const)('[relay-1] there is nothing at %s', async (path, method) => {
    const answer = await send(relay, path, null, { method })
    expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })

  it.each([
    ...signedCalls,
    { name: 'events', path: paths.events },
    { name: 'trust', path: paths.trust },
  ])('[relay-1] another method than that of $name is refused', async ({ path }) => {
    const answer = await send(relay, path(world.tenant), null, { method: 'DELETE' })
    expect(answer).toMatchObject({ status: 405, code: 'ERR_METHOD' })
    expect(answer.headers.get('allow')).toMatch(/^(GET|POST)/)
  })

  it.each([
    ...signedCalls.filter(({ options }) => options.body !== undefined),
    { name: 'trust', path: paths.trust },
  ])('[relay-1] another media type for $name is refused', async ({ path }) => {
    const answer = await send(relay, path(world.tenant), world.deriver, {
      ...jsonBody(),
      type: 'text/html',
    })
    expect(answer).toMatchObject({ status: 415, code: 'ERR_MEDIA_TYPE' })
  })

  it('[relay-1] a content coding is refused', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const answer = await send(relay, paths.push(world.tenant), world.deriver, {
      ...jsonBody(),
      headers,
    })
    expect(answer).toMatchObject({ status: 415, code: 'ERR_MEDIA_TYPE' })
  })

  it('[relay-1] a body above its limit is refused by its declared length', async () => {
    const url = new URL(paths.calls(world.tenant), relay.url)
    const headers = { 'content-type': TEXT_TYPE, 'content-length': MAX_POST + 1 }
    // Not a byte of it is sent: who still sends when it closes may not hear the answer.
    const call = request(url, { method: 'POST', headers })
    call.flushHeaders()
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    const { code } = (await json(response)) as { code: string }
    expect([response.statusCode, code]).toEqual([413, 'ERR_TOO_LARGE'])
    call.destroy()
  })

  it.each([
    ['of a stranger is not read', false],
    ['is cut off', true],
  ])('[relay-1] a body without end %s', async (_, isSigned) => {
    let sent = 0
    const endless = new ReadableStream<Bytes>({
      pull(controller) {
        sent += 65_536
        // Far more than any call may have; a relay that reads on lets this test run into its time limit.
        if (sent < 64 * MAX_BATCH) controller.enqueue(new Uint8Array(65_536))
        else controller.close()
      },
    })
    const url = new URL(paths.objects(world.tenant), relay.url)
    const claimed = { method: 'POST', url, body: utf8('another') }
    const signed = isSigned ? await signCall(claimed, world.deriver, seconds()) : {}
    const headers = { 'content-type': OCTETS_TYPE, ...signed }
    const init = { method: 'POST', body: endless, duplex: 'half', headers }
    const status = await fetch(url, init as RequestInit).then(
      async (response) => {
        // The local proxy before the Worker says it in words when the Worker has answered, reads no more and has closed.
        const isClosed = response.status === 500 && (await response.text()) === LOST
        return isClosed ? 'closed' : response.status
      },
      () => 'closed',
    )
    expect([isSigned ? 413 : 401, 'closed']).toContain(status)
    expect(sent).toBeLessThan(32 * MAX_BATCH)
  })

  it('[relay-1] what is no JSON, and what is of no schema, is refused', async () => {
    const path = paths.calls(world.tenant)
    const options = (text: string): CallOptions => ({ body: utf8(text) })
    expect(await send(relay, path, alice.signer, options('{'))).toMatchObject({
      status: 400,
      code: 'ERR_MALFORMED',
    })
    expect(await send(relay, path, alice.signer, options('{}'))).toMatchObject({
      status: 400,
      code: 'ERR_SCHEMA',
    })
    expect(await send(relay, path, alice.signer, options('null'))).toMatchObject({
      status: 400,
      code: 'ERR_SCHEMA',
    })
    const deep = options('['.repeat(60_000) + ']'.repeat(60_000))
    expect(await send(relay, path, alice.signer, deep)).toMatchObject({ status: 400 })
  })

  const wait = { after: '', call: 'wait', seconds: 0 }
  const hash = base64url(sha256(utf8('none')))

  it.each<[string, object, number]>([
    ['as it has to be', wait, 200],
    ['unknown', { ...wait, call: 'listen' }, 400],
    ['a name that every object has', { ...wait, call: 'constructor' }, 400],
    ['missing', { after: '', seconds: 0 }, 400],
    ['no text', { ...wait, call: ['wait'] }, 400],
    ['with a member of another one', { ...wait, hash }, 400],
    ['without a member of its own', { after: '', call: 'wait' }, 400],
    ['another one, with members of this one', { ...wait, call: 'object' }, 400],
    ['for no hash', { call: 'object', hash: hash.slice(0, 40) }, 400],
  ])('[relay-1] a call that is %s is taken or refused', async (_, body, status) => {
    const answer = await send(relay, paths.calls(world.tenant), alice.signer, jsonBody(body))
    expect(answer.status).toBe(status)
    if (status === 400) expect(answer.code).toBe('ERR_SCHEMA')
  })

  it('[relay-1] a call that waits is short, others have their own limits', async () => {
    const call = (value: object, length: number, more = ' '): Promise<Answer> => {
      const text = JSON.stringify(value)
      const body = utf8(more + ' '.repeat(length - text.length - more.length) + text)
      return send(relay, paths.calls(world.tenant), alice.signer, { body })
    }
    expect((await call(wait, 1_024)).status).toBe(200)
    for (const one of [wait, { ...wait, hash }])
      expect(await call(one, 1_025)).toMatchObject({ status: 413, code: 'ERR_TOO_LARGE' })
    const object = { call: 'object', hash }
    expect(await call(object, MAX_REQUEST)).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    expect(await call(object, MAX_REQUEST + 1)).toMatchObject({ status: 413 })
  })
})
