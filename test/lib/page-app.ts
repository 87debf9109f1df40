/** A web app for tests and benchmarks in a real browser: one page with one script, on an origin of its own; everything else is answered by the caller. */
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Bytes } from '../../shared/bytes.ts'

/** The app. */
export interface PageApp {
  origin: string
  close(): Promise<void>
}

/** Answers a call of the page. */
export type Answer = (url: URL, init: { method: string; body: Bytes }) => Promise<Response>

const root = fileURLToPath(new URL('../..', import.meta.url))

async function bodyOf(request: IncomingMessage): Promise<Bytes> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return new Uint8Array(Buffer.concat(chunks))
}

/** A module and what it imports as one file for browsers, minified as an app would. */
export async function bundle(contents: string): Promise<Bytes> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  })
  return outputFiles[0]!.contents as Bytes
}

/** What gives a page a clock of 5 microseconds in place of 100, and no window of another origin. */
const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

/** Starts an app whose script is this module; `isIsolated` for a clock to measure with, `head` for more in the page's head. */
export async function startPageApp(
  contents: string,
  answer: Answer,
  { isIsolated = false, head = '' } = {},
): Promise<PageApp> {
  const script = await bundle(contents)
  const page = `<!doctype html><title>app</title>${head}<script type="module" src="/app.js"></script>`
  const respond = async (request: IncomingMessage): Promise<Response> => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`)
    const body = await bodyOf(request)
    if (url.pathname === '/')
      return new Response(page, {
        headers: { 'content-type': 'text/html', ...(isIsolated && ISOLATED) },
      })
    if (url.pathname === '/favicon.ico') return new Response(null, { status: 204 })
    if (url.pathname === '/app.js')
      return new Response(script, { headers: { 'content-type': 'text/javascript' } })
    return answer(url, { method: request.method ?? 'GET', body })
  }
  const server = createServer((request, response) => {
    respond(request)
      .catch(() => new Response(null, { status: 500 }))
      .then(async (made) => {
        response.writeHead(made.status, Object.fromEntries(made.headers))
        response.end(Buffer.from(await made.arrayBuffer()))
      })
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
