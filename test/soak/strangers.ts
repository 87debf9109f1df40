/** Whoever is out there: calls that no certificate of the tenant signs, bodies that are too large, packed or never end, sockets without a ticket. */
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { JSON_TYPE, OCTETS_TYPE, paths, SUBPROTOCOL, TEXT_TYPE } from '../../shared/api.ts'
import { MAX_BATCH } from '../../shared/limits.ts'
import { send, type Relay } from '../lib/calls.ts'
import { signedCalls } from '../lib/signed-calls.ts'
import { makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'

/** Connections that send next to nothing, at a time. */
const SLOW_CONNECTIONS = 20

export class Strangers {
  /** Answers by status. */
  readonly statuses = new Map<number, number>()
  /** Bodies that were cut off while they were sent. */
  cut = 0
  readonly #relay: Relay
  readonly #tenants: readonly string[]
  readonly #world: World
  readonly #eve: Client
  readonly #violate: (what: string) => void
  readonly #bomb = new Uint8Array(gzipSync(new Uint8Array(16 * 1_048_576)))
  #count = 0

  private constructor(
    relay: Relay,
    tenants: readonly string[],
    world: World,
    eve: Client,
    violate: (what: string) => void,
  ) {
    this.#relay = relay
    this.#tenants = tenants
    this.#world = world
    this.#eve = eve
    this.#violate = violate
  }

  static async make(
    url: string,
    tenants: readonly string[],
    violate: (what: string) => void,
  ): Promise<Strangers> {
    const world = await makeWorld()
    const relay = { url: new URL(url), fetch }
    return new Strangers(relay, tenants, world, await makeClient(world, 'eve'), violate)
  }

  get #tenant(): string {
    return this.#tenants[this.#count % this.#tenants.length]!
  }

  #take(status: number, what: string): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    if (status < 400 || status >= 500) this.#violate(`a stranger's ${what} is answered ${status}`)
  }

  /** One call, each time another one. */
  async call(): Promise<void> {
    const n = this.#count++
    const { name, path, options, roles } = signedCalls[n % signedCalls.length]!
    const signers = [null, roles[0] === 'client' ? this.#eve.signer : this.#world.deriver]
    const answer = await send(this.#relay, path(this.#tenant), signers[n % 2]!, options)
    this.#take(answer.status, name)
  }

  /** A body that is not what the relay asks for. */
  async body(): Promise<void> {
    const n = this.#count++
    const bodies: [string, Uint8Array<ArrayBuffer>, string, Record<string, string>][] = [
      ['bomb', this.#bomb, OCTETS_TYPE, { 'content-encoding': 'gzip' }],
      ['body above the limit', new Uint8Array(MAX_BATCH + 1), OCTETS_TYPE, {}],
      ['garbage', random(2_000), TEXT_TYPE, {}],
    ]
    const [what, body, type, headers] = bodies[n % bodies.length]!
    const path = [paths.objects, paths.push, paths.calls][n % 3]!(this.#tenant)
    const url = new URL(path, this.#relay.url)
    const init = { method: 'POST', body, headers: { 'content-type': type, ...headers } }
    const response = await fetch(url, init).catch(() => undefined)
    await response?.arrayBuffer()
    // What is too large may be cut off before it was sent: then there is no answer to be read.
    if (response !== undefined) this.#take(response.status, what)
    else if (body.length > MAX_BATCH) this.cut++
    else this.#violate(`a stranger's ${what} has no answer`)
  }

  /** Many connections that send headers and then a byte now and then, for some seconds. */
  async slowly(milliseconds: number): Promise<void> {
    const { hostname, port, host } = this.#relay.url
    const sockets = Array.from({ length: SLOW_CONNECTIONS }, () => {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => {})
      socket.write(
        `POST ${paths.push(this.#tenant)} HTTP/1.1\r\nhost: ${host}\r\n` +
          `content-type: ${JSON_TYPE}\r\ntransfer-encoding: chunked\r\n\r\n`,
      )
      return socket
    })
    for (const end = Date.now() + milliseconds; Date.now() < end;) {
      for (const socket of sockets) socket.write('1\r\n{\r\n')
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    for (const socket of sockets) socket.destroy()
  }

  /** A socket with a ticket that nobody signed. */
  async socket(): Promise<void> {
    this.#count++
    const url = new URL(paths.events(this.#tenant), this.#relay.url)
    url.protocol = 'ws:'
    const socket = new WebSocket(url, [SUBPROTOCOL, 'e30'])
    const opened = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true))
      socket.addEventListener('error', () => resolve(false))
    })
    if (opened) this.#violate('a socket without a ticket opens')
    socket.close()
  }
}
