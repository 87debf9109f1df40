/** A standard handler behind a real server of `node:http`: what of a request arrives, and what of an answer leaves. */
import { createServer, request as httpRequest, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toListener } from '../../web/enrolment/index.ts'

const LIMIT = 1_000

interface Seen {
  method: string
  url: string
  headers: Headers
  body: string
}

let server: Server
let base: string
let seen: Seen[]
/** Calls of the listener that have ended; a rejected one is an error. */
let ended: PromiseSettledResult<void>[]
let handle: (request: Request) => Response | Promise<Response>
beforeEach(async () => {
  seen = []
  ended = []
  handle = () => new Response('done')
  const listener = toListener(async (request) => {
    const { method, url, headers } = request
    seen.push({ method, url, headers, body: await request.text() })
    return handle(request)
  }, LIMIT)
  server = createServer((request, response) => {
    void Promise.allSettled([listener(request, response)]).then((all) => ended.push(...all))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  expect(ended.filter(({ status }) => status === 'rejected')).toEqual([])
})

it('an answer that somebody else gave before is left, and nothing rejects', async () => {
  const listener = toListener(() => new Response('late'))
  const own = createServer((request, response) => {
    response.end('first')
    void Promise.allSettled([listener(request, response)]).then((all) => ended.push(...all))
  })
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve))
  const { port } = own.address() as AddressInfo
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('first')
  await expect.poll(() => ended.map(({ status }) => status)).toEqual(['fulfilled'])
  own.closeAllConnections()
  own.close()
})

describe('a request', () => {
  it('arrives with method, path, query, headers and body', async () => {
    const headers = {
      'content-type': 'application/json',
      'keyferry-csrf': 'abc',
      cookie: 'a=1; b=2',
    }
    await fetch(`${base}/enroll?x=1`, { method: 'POST', headers, body: '{"a":"ü"}' })
    const [one] = seen
    expect([one?.method, one?.url, one?.body]).toEqual([
      'POST',
      'http://localhost/enroll?x=1',
      '{"a":"ü"}',
    ])
    for (const [name, value] of Object.entries(headers)) expect(one?.headers.get(name)).toBe(value)
  })

  it('arrives with headers that came more than once, none of them lost', async () => {
    await new Promise<void>((resolve) => {
      const request = httpRequest(base, { method: 'GET' }, (response) => {
        response.resume().on('end', resolve)
      })
      request.setHeader('origin', ['https://app.example', 'https://evil.example'])
      request.setHeader('cookie', ['a=1', 'b=2'])
      request.setHeader('set-cookie', ['c=3', 'd=4'])
      request.end()
    })
    const { headers } = seen[0]!
    // Not one of two: no list of origins holds it.
    expect(headers.get('origin')).toBe('https://app.example, https://evil.example')
    expect(headers.get('cookie')).toBe('a=1; b=2')
    expect(headers.get('set-cookie')).toBe('c=3, d=4')
  })

  it('with a body at the limit arrives whole; above it the answer is 413, and the handler hears nothing', async () => {
    const post = (length: number): Promise<Response> =>
      fetch(base, { method: 'POST', body: 'x'.repeat(length) })
    expect((await post(LIMIT)).status).toBe(200)
    expect(seen[0]!.body).toHaveLength(LIMIT)
    for (const length of [LIMIT + 1, 5_000_000]) expect((await post(length)).status).toBe(413)
    // In pieces, without a length.
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < 100; i++) controller.enqueue(new Uint8Array(100))
        controller.close()
      },
    })
    const init = { method: 'POST', body: pieces, duplex: 'half' }
    expect((await fetch(base, init as RequestInit)).status).toBe(413)
    expect(seen).toHaveLength(1)
    // The connection goes on.
    expect((await post(1)).status).toBe(200)
  })

  it('whose body is broken off never reaches the handler, and ends', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1')
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n'
    await new Promise((resolve) => socket.write(`${head}${'x'.repeat(100)}`, resolve))
    await vi.waitFor(async () => {
      const count = await new Promise((resolve) => {
        server.getConnections((_error, n) => resolve(n))
      })
      expect(count).toBe(1)
    })
    socket.destroy()
    await vi.waitFor(() => expect(ended).toHaveLength(1))
    expect(seen).toEqual([])
    expect((await fetch(base)).status).toBe(200)
  })

  it('that no standard request can be is answered 400', async () => {
    expect(
      await new Promise((resolve) => {
        httpRequest(base, { method: 'TRACE' }, (response) => {
          resolve(response.resume().statusCode)
        }).end()
      }),
    ).toBe(400)
    expect(seen).toEqual([])
  })
})

describe('an answer', () => {
  it('leaves with status, headers, several cookies and bytes', async () => {
    const bytes = Uint8Array.of(0, 255, 128)
    handle = () => {
      const headers = new Headers({ 'content-type': 'application/x', 'cache-control': 'no-store' })
      headers.append('vary', 'a')
      headers.append('vary', 'b')
      for (const one of ['a=1; HttpOnly', 'b=2; Expires=Thu, 01 Jan 2099 00:00:00 GMT'])
        headers.append('set-cookie', one)
      return new Response(bytes, { status: 418, headers })
    }
    const response = await fetch(base)
    expect(response.status).toBe(418)
    expect(response.headers.get('content-type')).toBe('application/x')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('vary')).toBe('a, b')
    expect(response.headers.getSetCookie()).toEqual([
      'a=1; HttpOnly',
      'b=2; Expires=Thu, 01 Jan 2099 00:00:00 GMT',
    ])
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes)
  })

  it('without a body, and to HEAD, ends', async () => {
    handle = () => new Response(null, { status: 204 })
    expect((await fetch(base)).status).toBe(204)
    handle = () => new Response('text')
    const response = await fetch(base, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  it('of a handler that fails is 500 and says nothing', async () => {
    handle = () => Promise.reject(new Error('secret'))
    const response = await fetch(base, { method: 'POST', body: 'x' })
    expect([response.status, await response.text()]).toEqual([500, ''])
    handle = () =>
      new Response(new ReadableStream({ start: (one) => one.error(new Error('secret')) }))
    const broken = await fetch(base)
    expect([broken.status, await broken.text()]).toEqual([500, ''])
  })
})
