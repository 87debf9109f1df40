// The transport against a real HTTP server that misbehaves: bounded in size and time, nothing followed, nothing believed.
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import { JSON_TYPE } from '../../shared/api.ts'
import { hex, utf8 } from '../../shared/bytes.ts'
import { readSignedBody } from '../../shared/credentials.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { verifyCall } from '../../shared/http-signature.ts'
import { createTransport, type Transport } from '../../web/transport.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { issueSigner, makeCa, seconds, uriOf } from '../lib/world.ts'

const now = seconds()
const signer = await issueSigner(await makeCa('client', now), uriOf('client', 'kim'), now)
const never = new AbortController().signal

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Reach {
  transport: Transport
  warnings: string[]
}

function reach(relays: string[], deadline = 2_000, fetch = globalThis.fetch): Reach {
  const warnings: string[] = []
  let time = seconds()
  const transport = createTransport({
    relays,
    tenant: 'x',
    fetch,
    signer,
    now: () => time++,
    warn: ({ message }) => warnings.push(message),
    deadline,
  })
  return { transport, warnings }
}

const call = ({ transport }: Reach, signal = never, limit = 1_000) =>
  transport.attempt(
    (post) => post({ after: '', call: 'wait', seconds: 1 }, limit, undefined, JSON_TYPE),
    signal,
  )

/** What is sent then. */
const body = utf8('{"after":"","call":"wait","seconds":1}')

const json = { 'content-type': 'application/json; charset=utf-8' }

describe('a relay', () => {
  it('answers: the call was signed, with a new signature every time it is repeated', async () => {
    const signatures = new Set<string>()
    const relay = await serve((request, response) => {
      const url = new URL(request.url!, `http://${request.headers.host}`)
      const verify = async (): Promise<void> => {
        const posted = { method: 'POST', url, body: new Uint8Array(await buffer(request)) }
        const read = await readSignedBody(posted)
        expect(read.body).toEqual(body)
        const certificate = { fingerprint: read.signature.keyid, spki: signer.key.spki }
        await verifyCall(read.signature, certificate, seconds(), 60)
        signatures.add(hex(read.signature.signature))
      }
      verify().then(
        () => response.writeHead(signatures.size < 2 ? 503 : 200, json).end('{"a":1}'),
        () => response.writeHead(401).end(),
      )
    })
    expect(await call(reach([relay]))).toEqual(utf8('{"a":1}'))
    expect(signatures.size).toBe(2)
  })

  it('answers nothing, and ends that late: it is read to its end, not let go', async () => {
    const seen: string[] = []
    const content = new ReadableStream(
      {
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 20))
          seen.push('end')
          controller.close()
        },
        cancel: () => void seen.push('let go'),
      },
      { highWaterMark: 0 },
    )
    const answer = new Response(content, { status: 202 })
    expect(await call(reach(['http://relay.example'], 2_000, async () => answer))).toBe(null)
    expect(seen).toEqual(['end'])
  })

  it('answers nothing, with a body: cut off', async () => {
    const relay = await serve((_, response) => response.writeHead(202).end('x'))
    await expectCode(call(reach([relay])), 'ERR_TOO_LARGE')
  })

  it.each([202, 204])('answers %d: nothing', async (status) => {
    const relay = await serve((_, response) => response.writeHead(status).end())
    expect(await call(reach([relay]))).toBe(null)
  })

  it('[dec-1] sends without end: cut off at the limit', async () => {
    let isClosed = false
    const relay = await serve((_, response) => {
      response.writeHead(200, json)
      const more = (): void => void (response.destroyed || response.write('x'.repeat(500), more))
      more()
      response.on('close', () => (isClosed = true))
    })
    await expectCode(call(reach([relay], 20_000)), 'ERR_TOO_LARGE')
    await expect.poll(() => isClosed).toBe(true)
  })

  it('sends a byte now and then: cut off at the deadline', async () => {
    const relay = await serve((_, response) => {
      response.writeHead(200, json)
      const timer = setInterval(() => response.write('x'), 50)
      response.on('close', () => clearInterval(timer))
    })
    const began = performance.now()
    await expectCode(call(reach([relay], 600)), 'ERR_TIMEOUT')
    expect(performance.now() - began).toBeLessThan(1_500)
  })

  it('says nothing at all: the next one gets its share of the time', async () => {
    const silent = await serve(() => {})
    const good = await serve((_, response) => response.writeHead(200, json).end('{}'))
    expect(await call(reach([silent, good], 1_000))).toEqual(utf8('{}'))
  })

  it.each([
    ['text', 200, { 'content-type': 'text/html' }, 'ERR_RELAY'],
    ['no media type', 200, {}, 'ERR_RELAY'],
    ['an error in text', 500, { 'content-type': 'text/plain' }, 'ERR_RELAY'],
    ['401', 401, {}, 'ERR_UNAUTHORIZED'],
    ['404', 404, {}, 'ERR_NOT_FOUND'],
    ['429', 429, { 'retry-after': '3600' }, 'ERR_QUOTA'],
    ['201', 201, json, 'ERR_RELAY'],
  ] as const)('answers with %s', async (_, status, headers, code) => {
    const relay = await serve((_request, response) => response.writeHead(status, headers).end('x'))
    await expectCode(call(reach([relay])), code)
  })

  it('sends a problem document: its code is a hint for people, nothing more', async () => {
    const relay = await serve((_, response) =>
      response
        .writeHead(400, { 'content-type': 'application/problem+json' })
        .end('{"code":"ERR_DENIED","title":"<script>"}'),
    )
    const at = reach([relay])
    await expectCode(call(at), 'ERR_RELAY')
    expect(at.warnings[0]).toBe('the relay answers 400 ERR_DENIED')
  })

  it('sends a problem document without end', async () => {
    const relay = await serve((_, response) => {
      response.writeHead(404, { 'content-type': 'application/problem+json' })
      const more = (): void => void (response.destroyed || response.write('x'.repeat(5_000), more))
      more()
    })
    await expectCode(call(reach([relay])), 'ERR_NOT_FOUND')
  })

  it('redirects: nothing is followed', async () => {
    let followed = 0
    const other = await serve((_, response) => {
      followed++
      response.writeHead(200, json).end('{}')
    })
    const relay = await serve((_, response) => response.writeHead(307, { location: other }).end())
    await expectCode(call(reach([relay])), 'ERR_RELAY')
    expect(followed).toBe(0)
  })

  it('is not there, and the next one is asked', async () => {
    const good = await serve((_, response) => response.writeHead(200, json).end('{}'))
    const at = reach(['http://127.0.0.1:9', good])
    expect(await call(at)).toEqual(utf8('{}'))
    expect(at.warnings).toHaveLength(1)
  })
})

describe('an operation', () => {
  it('ends with its signal', async () => {
    const relay = await serve(() => {})
    const reason = new Error('enough')
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 50)
    await expect(call(reach([relay]), controller.signal)).rejects.toBe(reason)
  })

  it('throws that nobody admits it only when every relay says so', async () => {
    const refuse = (status: number) => serve((_, response) => response.writeHead(status, {}).end())
    const [unknown, unsigned] = [await refuse(404), await refuse(401)]
    await expectCode(call(reach([unknown, 'http://127.0.0.1:9'])), 'ERR_RELAY')
    await expectCode(call(reach([unsigned, 'http://127.0.0.1:9'])), 'ERR_RELAY')
    await expectCode(call(reach([unknown, unsigned])), 'ERR_NOT_FOUND')
  })

  it.each([
    ['application/problem+json', 'ERR_QUOTA', 'the relay answers 400 ERR_QUOTA'],
    [
      'application/problem+json',
      'ERR_<b>call 555</b>',
      'the relay answers 400, not application/json',
    ],
    ['application/problem+json', ['ERR_QUOTA'], 'the relay answers 400, not application/json'],
    ['text/html', 'ERR_QUOTA', 'the relay answers 400, not application/json'],
  ])(
    'says of a refusal in %s with the code %s no more than it may',
    async (type, code, message) => {
      const relay = await serve((_, response) =>
        response.writeHead(400, { 'content-type': type }).end(JSON.stringify({ code })),
      )
      await expect(call(reach([relay]))).rejects.toMatchObject({ code: 'ERR_RELAY', message })
    },
  )

  it('asks no other relay about what this device did wrong', async () => {
    const relay = await serve((_, response) => response.writeHead(204).end())
    const { transport } = reach([relay, relay, relay])
    for (const error of [
      new KeyferryError('ERR_IO', 'full'),
      new KeyferryError('ERR_STATE'),
      new TypeError(),
    ]) {
      let calls = 0
      const work = (): Promise<never> => {
        calls++
        return Promise.reject(error)
      }
      await expect(transport.attempt(work, never)).rejects.toBe(error)
      expect(calls).toBe(1)
    }
  })

  it('throws what was wrong with an answer rather than that another relay is away', async () => {
    const relay = await serve((_, response) => response.writeHead(200, json).end('x'.repeat(2_000)))
    await expectCode(call(reach(['http://127.0.0.1:9', relay])), 'ERR_TOO_LARGE')
  })
})
