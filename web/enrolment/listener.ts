/** A standard handler behind Node's own requests and responses, as Express passes them on. Nothing of Node is imported. */

/** What is used of Node's `IncomingMessage`. */
export interface NodeRequest extends AsyncIterable<unknown> {
  method?: string | undefined
  url?: string | undefined
  headers: Record<string, string | string[] | undefined>
}

/** What is used of Node's `ServerResponse`. */
export interface NodeResponse {
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body?: Uint8Array): unknown
}

/** Serves a handler. It reads the body itself: no body parser comes before it. Errors before the handler answer 400. */
export function toListener(
  handler: (request: Request) => Response | Promise<Response>,
  /** Bytes of a body at most. */
  limit = 65_536,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  return async (incoming, outgoing) => {
    let response: Response
    try {
      const headers = Object.entries(incoming.headers).flatMap(
        ([name, value]): [string, string][] =>
          value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
      )
      const method = incoming.method ?? 'GET'
      const parts: Uint8Array<ArrayBuffer>[] = []
      let left = limit
      for await (const part of incoming) {
        parts.push(part as Uint8Array<ArrayBuffer>)
        left -= (part as Uint8Array).length
        if (left < 0) break
      }
      const body = method === 'GET' || method === 'HEAD' ? null : new Blob(parts)
      // The host does not matter: nothing is decided by it.
      response = await handler(
        new Request(new URL(incoming.url ?? '/', 'http://localhost'), { method, headers, body }),
      )
    } catch {
      response = new Response(null, { status: 400 })
    }
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    outgoing.end(new Uint8Array(await response.arrayBuffer()))
  }
}
