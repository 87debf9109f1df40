/** What keeps other pages out: which names this console answers to, which origins may change something, and what its own page may do. */
import { type IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { KeyferryError } from '../../shared/errors.ts'

/** Where a console listens, and what it is called. */
export interface Address {
  host: string
  port: number
  /** What people open, with a slash at its end; behind a proxy, the proxy's. */
  url: string
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']

/** Reads `PORT` or `HOST:PORT`. Throws `ERR_USAGE`. */
export function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]:|([^:]+):)?(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain ?? '127.0.0.1'
  const port = Number(digits)
  if (digits === undefined || port > 65_535 || (isIP(host) === 0 && host !== 'localhost'))
    throw new KeyferryError('ERR_USAGE', `not PORT or ADDRESS:PORT: ${text}`)
  return { host, port }
}

/** Reads the address that people open, behind a proxy. Throws `ERR_USAGE`. */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const isLocal = url !== null && LOOPBACK.includes(url.hostname.replace(/^\[|\]$/g, ''))
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLocal)
  if (!isSafe || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new KeyferryError('ERR_USAGE', `not an https address without a query: ${text}`)
  return url.href.endsWith('/') ? url.href : `${url.href}/`
}

/** Throws `ERR_USAGE` for a console that others could listen to on the network: that takes a proxy with TLS before it. */
export function requirePrivate(host: string, baseUrl: string | undefined): void {
  if (LOOPBACK.includes(host) || baseUrl?.startsWith('https:') === true) return
  throw new KeyferryError(
    'ERR_USAGE',
    `${host} is not this machine alone: a proxy has to bring TLS`,
    {
      hint: '--console-url names the https address of the proxy',
    },
  )
}

/** What a listening console allows. */
export interface Guard {
  /** Path below which it is found, with slashes at both ends. */
  readonly path: string
  readonly isSecure: boolean
  /** Throws `ERR_ORIGIN` for a name that is none of its own, and for a call out of another page. */
  check(request: IncomingMessage): void
}

/** Makes the guard of an address. */
export function createGuard({ host, port, url }: Address): Guard {
  const own = new URL(url)
  const names = LOOPBACK.includes(host) ? LOOPBACK : [host]
  const local = names.map((name) => (isIP(name) === 6 ? `[${name}]:${port}` : `${name}:${port}`))
  const hosts = new Set([...local, own.host])
  const origins = new Set([...local.map((name) => `http://${name}`), own.origin])
  const refuse = (what: string): never => {
    throw new KeyferryError('ERR_ORIGIN', what)
  }
  return {
    path: own.pathname,
    isSecure: own.protocol === 'https:',
    check({ headers, method }) {
      // A name that somebody else gave this address is how a page of theirs would become one of ours.
      if (headers.host === undefined || !hosts.has(headers.host.toLowerCase()))
        refuse('this console has another name')
      const { origin } = headers
      if (origin !== undefined && !origins.has(origin)) refuse('a call out of another page')
      const site = headers['sec-fetch-site']
      const isOpened = site === 'none' && method === 'GET'
      const isLink = method === 'GET' && headers['sec-fetch-mode'] === 'navigate'
      if (site !== undefined && site !== 'same-origin' && !isOpened && !isLink)
        refuse('a call out of another page')
      // A browser names the page that a POST comes from; a script that sends none has no cookie of anybody.
      if (method !== 'GET' && headers.cookie !== undefined && origin === undefined)
        refuse('a call of no page')
    },
  }
}

/** Headers of every answer: nothing from elsewhere, nothing inline, no markup from strings, in nobody's frame. */
export const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
}
