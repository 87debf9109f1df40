/** Calls to the customer's own web server. The session's name goes along in a header that other sites cannot send. */

/** A message as the board keeps it; see demo/board.ts. */
export interface BoardMessage {
  seq: number
  id: string
  from: string
  time: number
  kind: 'note' | 'file'
  sealed: string
  size: number
}

/** What the deriver says of itself; see deriver/status.ts. */
export interface Status {
  tenant: string
  head: { version: number; issuedAt: number; expiresAt: number } | null
  keyrings: {
    name: string
    id: string
    version: number
    generation: number
    members: number
    published: boolean
  }[]
  devices: { uri: string; keyId: string; denied: boolean; keyrings: string[] }[]
}

export interface State {
  name: string
  status: Status
  revoked: string[]
  events: { time: number; text: string }[]
  board: { messages: number; bytes: number }
}

export interface SeenValue {
  column: string
  bytes: number
  hex: string
  kind: string
  claims?: Record<string, unknown>
}

export interface RelayView {
  size: number
  tables: {
    name: string
    rows: number
    bytes: number
    sample: { plain: Record<string, string | number>; values: SeenValue[] }[]
  }[]
  kinds: { kind: string; count: number; bytes: number }[]
}

/** What the relay does wrong at present, and what every open page makes of it; see demo/insider-routes.ts. */
export interface InsiderNews {
  playing: { attack: string; by: string } | null
  /** Rises with every change. */
  round: number
  views: { name: string; head: number; code: string }[]
}

/** An answer other than success. */
class ServerError extends Error {
  override readonly name = 'ServerError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Milliseconds. */
const RETRY = 2_000

/** The web server, in one session. */
export class Server {
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  async #call(method: string, path: string, body?: BodyInit, type?: string): Promise<Response> {
    const response = await fetch(path, {
      method,
      headers: {
        'keyferry-demo': this.#name,
        ...(type === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body }),
    })
    if (response.ok) return response
    if (response.status === 401 && path !== '/session') {
      // The server was started again and has forgotten its sessions.
      await this.signIn()
      return this.#call(method, path, body, type)
    }
    const problem = (await response.json().catch(() => ({}))) as { code?: string; message?: string }
    throw new ServerError(problem.code ?? 'UNKNOWN', problem.message ?? `status ${response.status}`)
  }

  async #get<T>(path: string): Promise<T> {
    return (await (await this.#call('GET', path)).json()) as T
  }

  async #post<T>(path: string, body: unknown = {}): Promise<T> {
    const response = await this.#call('POST', path, JSON.stringify(body), 'application/json')
    return (await response.json()) as T
  }

  signIn(): Promise<unknown> {
    return this.#post('/session', { name: this.#name })
  }

  config(): Promise<unknown> {
    return this.#get('/config')
  }

  state(): Promise<State> {
    return this.#get('/state')
  }

  messages(after: number): Promise<BoardMessage[]> {
    return this.#get(`/messages?after=${after}`)
  }

  post(message: { kind: 'note' | 'file'; id: string; sealed: string }): Promise<BoardMessage> {
    return this.#post('/messages', message)
  }

  rotate(): Promise<{ versions: Record<string, number> }> {
    return this.#post('/rotate')
  }

  revoke(name: string): Promise<unknown> {
    return this.#post('/revoke', { name })
  }

  async beginFile(): Promise<string> {
    return (await this.#post<{ id: string }>('/files')).id
  }

  async appendFile(id: string, offset: number, piece: Blob): Promise<void> {
    await this.#call('PUT', `/files/${id}?offset=${offset}`, piece, 'application/octet-stream')
  }

  async dropFile(id: string): Promise<void> {
    await this.#call('DELETE', `/files/${id}`)
  }

  async readFile(id: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { body } = await this.#call('GET', `/files/${id}`)
    return body as ReadableStream<Uint8Array<ArrayBuffer>>
  }

  relayView(): Promise<RelayView> {
    return this.#get('/relay-view')
  }

  async relayDump(): Promise<Uint8Array> {
    return new Uint8Array(await (await this.#call('GET', '/relay-dump')).arrayBuffer())
  }

  insider(): Promise<InsiderNews> {
    return this.#get('/insider')
  }

  /** Makes the relay do something wrong; `none` makes it honest again. */
  play(attack: string): Promise<unknown> {
    return this.#post('/insider', { attack })
  }

  /** Tells the other pages what this one sees. */
  seen(head: number, code: string): Promise<unknown> {
    return this.#post('/seen', { head: String(head), code })
  }

  /** Calls back with `state`, `messages` or `insider` when there is something new, also after a lost connection. */
  listen(onNews: (topic: string) => void): void {
    const source = new EventSource(`/events?as=${this.#name}`)
    source.addEventListener('message', (event) => onNews(String(event.data)))
    source.addEventListener('open', () => {
      onNews('state')
      onNews('messages')
      onNews('insider')
    })
    source.addEventListener('error', () => {
      // A browser tries again by itself, but not after an answer with an error.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.listen(onNews), RETRY)
    })
  }
}
