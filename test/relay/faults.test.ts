/** What strangers and bad networks can cost a relay. SLOW=1 sends 10,000 calls in place of 300, and opens 5,000 sockets in place of 50. */
import { connect } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { OCTETS_TYPE, paths, SUBPROTOCOL } from '../../shared/api.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { base64url } from '../../shared/bytes.ts'
import { signCall, type Signer } from '../../shared/http-signature.ts'
import { signTicket } from '../../shared/ticket.ts'
import { enrol, INVITE, pushAll, pushHead, send, pushFirst } from '../lib/calls.ts'
import { LIMIT, SLOW } from '../lib/commands.ts'
import { spawnRelay } from '../lib/processes.ts'
import { publish, type Publication } from '../lib/publication.ts'
import { signedCalls } from '../lib/signed-calls.ts'
import { address, startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  issueSigner,
  makeClient,
  makeWorld,
  random,
  seconds,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
let world: World
let alice: Client
let first: Publication

beforeAll(async () => {
  relay = await startRelay()
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  ;({ first } = await pushFirst(relay, world, [alice]))
})
afterAll(() => relay.close())

/** Every row of every table of a tenant, and how many pages they take. */
async function contents(tenant: string): Promise<unknown> {
  const name = { name: tenant }
  const storage = await relay.harness.getWorker().getDurableObjectStorage('TENANT', name)
  const tables = await storage.exec(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name",
  )
  const rows = []
  for (const { name: table } of tables as { name: string }[])
    rows.push([
      table,
      (await storage.exec(`SELECT count(*) AS n FROM "${table}"`)).map((row) => ({ ...row })),
    ])
  return rows
}

describe('strangers', () => {
  it(
    '[relay-3] store nothing, however often they call',
    async () => {
      const stranger = await makeWorld()
      const eve = await makeClient(stranger, 'eve')
      const before = await contents(world.tenant)
      const count = SLOW ? 10_000 : 300
      let left = count
      const statuses = new Set<number>()
      const work = async (): Promise<void> => {
        while (left-- > 0) {
          const { path, options, roles } = signedCalls[left % signedCalls.length]!
          const by: (Signer | null)[] = [
            null,
            roles[0] === 'client' ? eve.signer : stranger.deriver,
            { key: eve.signer.key, certificates: alice.signer.certificates },
          ]
          const answer = await send(relay, path(world.tenant), by[left % 3]!, options)
          statuses.add(answer.status)
        }
      }
      await Promise.all(Array.from({ length: 8 }, work))
      expect([...statuses].filter((status) => ![401, 404, 429].includes(status))).toEqual([])
      expect(await contents(world.tenant)).toEqual(before)
    },
    LIMIT,
  )

  it('[relay-1] a body that is a bomb when unpacked is not unpacked', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(64 * 1_048_576)))
    const url = new URL(paths.objects(world.tenant), relay.url)
    const signed = await signCall({ method: 'POST', url, body: bomb }, world.deriver, seconds())
    const headers = { ...signed, 'content-encoding': 'gzip' }
    const options = { body: bomb, type: OCTETS_TYPE, headers }
    expect(await send(relay, url.pathname, null, options)).toMatchObject({
      status: 415,
      code: 'ERR_MEDIA_TYPE',
    })
  })

  it('[relay-1] who sends headers and then next to nothing keeps nobody waiting', async () => {
    const { hostname, port } = relay.url
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => {})
      socket.write(
        `POST ${paths.push(world.tenant)} HTTP/1.1\r\nhost: ${relay.url.host}\r\n` +
          'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
      )
      return socket
    })
    expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
    for (const socket of sockets) socket.destroy()
  })
})

describe('answers that are lost', () => {
  it('[relay-10] every call of a deriver can be sent again', async () => {
    const before = await contents(world.tenant)
    for (let i = 0; i < 3; i++) {
      await pushAll(relay, world, first, null)
      expect((await enrol(relay, world)).status).toBe(200)
    }
    expect(await contents(world.tenant)).toEqual(before)
    const next = await publish(world, [], { version: 2, catalogNumber: 2 })
    await pushAll(relay, world, next, first.headHash)
    // The one before, once more: what a deriver that was killed meanwhile may send.
    expect(await pushHead(relay, world, first, null)).toMatchObject({ status: 409 })
    first = next
  })

  it('a certificate of a clock that is ahead or behind is told so, and stores nothing', async () => {
    const before = await contents(world.tenant)
    const body = encodeBatch([random(9)])
    for (const now of [world.now - 4_000, world.now + 4_000]) {
      const options = { body, type: OCTETS_TYPE, now }
      expect(await send(relay, paths.objects(world.tenant), world.deriver, options)).toMatchObject({
        status: 401,
      })
    }
    expect(await contents(world.tenant)).toEqual(before)
  })
})

describe('many', () => {
  it(
    'sockets of one tenant all get a head',
    async () => {
      const count = SLOW ? 5_000 : 50
      const own = await makeWorld()
      // In a process of its own, which has as many files to open as this one.
      const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
      const process = await spawnRelay(directory, INVITE)
      onTestFinished(async () => {
        await process.kill()
        rmSync(directory, { recursive: true, force: true })
      })
      const crowded = { url: new URL(process.url), fetch: relay.fetch }
      await enrol(crowded, own)
      const published = await publish(own, [])
      const url = new URL(paths.events(own.tenant), crowded.url)
      const address2 = new URL(url)
      address2.protocol = 'ws:'
      const heads: Promise<string>[] = []
      const sockets: WebSocket[] = []
      let signer: Signer | undefined
      for (let i = 0; i < count; i++) {
        // At most 8 sockets of one certificate.
        if (i % 8 === 0)
          signer = await issueSigner(own.cas.client, uriOf('client', `c${i}`), own.now)
        const ticket = await signTicket(url, signer!, Math.floor(Date.now() / 1000))
        // Each from an address of its own, for the rate limiter: Node's WebSocket takes headers, too.
        const init = { protocols: [SUBPROTOCOL, ticket], headers: address() }
        const socket = new WebSocket(address2, init as unknown as string[])
        heads.push(
          new Promise((resolve) => {
            socket.addEventListener('message', ({ data }) => resolve(String(data)), { once: true })
          }),
        )
        await new Promise<void>((resolve, reject) => {
          socket.addEventListener('open', () => resolve())
          socket.addEventListener('error', () => reject(new Error(`no stream ${i}`)))
        })
        sockets.push(socket)
      }
      await pushAll(crowded, own, published, null)
      const expected = JSON.stringify({ hash: base64url(published.headHash), type: 'head' })
      expect(new Set(await Promise.all(heads))).toEqual(new Set([expected]))
      for (const socket of sockets) socket.close()
    },
    LIMIT,
  )
})
