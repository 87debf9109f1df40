/** A standard handler behind Node's own requests and responses, as Express passes them on. Nothing of Node is imported. */

/** What is used of Node's `IncomingMessage`. */
export interface NodeRequest extends AsyncIterable<unknown> {
  method?: string | undefined
  url?: string | undefined
  headers: Record<string, string | string[] | undefined>
}

/** What is used of Node's `ServerResponse`. */
export interface NodeResponse {
  writeHead(status: number, headers: Record<string, string | string[]>): unknown
  end(body?: Uint8Array): unknown
}

/** The whole body; `null` for one above the limit, which is still read to its end: whoever sends it shall get the answer. Throws for one that is broken off. */
async function readBody(incoming: NodeRequest, limit: number): Promise<Blob | null> {
  let parts: Uint8Array<ArrayBuffer>[] = []
  let left = limit
  for await (const part of incoming) {
    left -= (part as Uint8Array).length
    if (left < 0) parts = []
    else parts.push(part as Uint8Array<ArrayBuffer>)
  }
  return left < 0 ? null : new Blob(parts)
}

async function toRequest(incoming: NodeRequest, limit: number): Promise<Request | null> {
  const headers = Object.entries(incoming.headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  )
  const method = incoming.method ?? 'GET'
  const whole = await readBody(incoming, limit)
  if (whole === null) return null
  const body = method === 'GET' || method === 'HEAD' ? null : whole
  // The host does not matter: nothing is decided by it.
  return new Request(new URL(incoming.url ?? '/', 'http://localhost'), { method, headers, body })
}

/**
 * Serves a handler. It reads the body itself: no body parser comes before it. A body above the limit is answered 413, what is no request 400, and a
 * handler that rejects, or whose body breaks off, 500; it never rejects itself.
 */
export function toListener(
  handler: (request: Request) => Response | Promise<Response>,
  /** Bytes of a body at most. */
  limit = 65_536,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  return async (incoming, outgoing) => {
    let response: Response
    let body = new Uint8Array()
    let status = 400
    try {
      const request = await toRequest(incoming, limit)
      status = 500
      response = request === null ? new Response(null, { status: 413 }) : await handler(request)
      body = new Uint8Array(await response.arrayBuffer())
    } catch {
      response = new Response(null, { status })
    }
    const headers: Record<string, string | string[]> = Object.fromEntries(response.headers)
    // Several of them are several headers: a cookie may hold commas.
    const cookies = response.headers.getSetCookie()
    if (cookies.length > 0) headers['set-cookie'] = cookies
    try {
      outgoing.writeHead(response.status, headers)
      outgoing.end(body)
    } catch {
      // Somebody else has answered.
    }
  }
}
