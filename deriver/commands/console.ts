/** The console, and who is let into it. */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import {
  endAccess,
  LINK_TIME,
  listAccess,
  makeLink,
  makeToken,
  type AccessKind,
} from '../console/access.ts'
import { parseBaseUrl, parseListen } from '../console/guard.ts'
import { startConsole, type Console } from '../console/server.ts'
import { date } from '../show.ts'
import { type Store } from '../store.ts'
import {
  command,
  duration,
  FLAG,
  required,
  TEXT,
  usage,
  withStore,
  writeFileWhole,
  type Command,
} from './command.ts'

const addressFile = (directory: string): string => join(directory, 'console.url')

/** Starts a console over a directory's store, and notes its address there for `console link`. */
export async function openConsole(
  store: Store,
  directory: string,
  listen: string,
  url: string | undefined,
): Promise<Console> {
  const base = url === undefined ? {} : { url: parseBaseUrl(url) }
  const console = await startConsole({ store, ...parseListen(listen), ...base })
  writeFileWhole(addressFile(directory), new TextEncoder().encode(`${console.url}\n`))
  return console
}

function knownAddress(directory: string): string {
  try {
    return readFileSync(addressFile(directory), 'utf8').trim()
  } catch {
    return usage('no console was started over this directory: --url says where it is')
  }
}

/** Whoever is logged in on this machine, as far as a name may be so. */
function ownName(): string {
  const name = userInfo().username.replaceAll(/[^\w.@-]/g, '')
  return /^[a-zA-Z0-9]/.test(name) ? name.slice(0, 64) : 'somebody'
}

/** A link that opens a session once. The token is behind the `#`: no server and no proxy sees it before the page sends it. */
function linkTo(address: string, store: Store, name: string, now: number): string {
  return `${address}#login=${makeLink(store, name, now)}`
}

/** What somebody did last. Of looking there is no note. */
function useOf(kind: AccessKind, made: number, used: number): string {
  if (kind === 'link') return 'not opened yet'
  return used === made ? 'no action yet' : `last action ${date(used)}`
}

export const consoleCommands: Record<string, Command> = {
  console: command({
    summary: 'serve the console: keyrings, clients, requests, log in a browser',
    options: { listen: TEXT, url: TEXT, name: TEXT },
    help: `usage: keyferry console [--listen [ADDRESS:]PORT] [--url URL] [--name NAME]

Serves the console over this directory, beside 'keyferry run' or without it, and prints a link that lets you in once, within ten minutes. It needs
no passphrase and opens no key. 'keyferry run --console PORT' serves the same. Stops on SIGINT or SIGTERM. docs/console.md has its API.
--listen  where; a free port of 127.0.0.1 unless given. An address that others reach takes --url with https
--url     what people open, where a proxy of yours is before it
--name    who the link is for: what the log says

example: keyferry console --listen 7070
`,
    run: async (invocation) => {
      const { options, directory, out, now, signal } = invocation
      const name = options.name ?? ownName()
      return withStore(invocation, async (store) => {
        const { listen = '0', url } = options
        const console = await openConsole(store, directory, listen, url)
        try {
          const link = linkTo(console.url, store, name, now())
          out(options.json === true ? JSON.stringify({ url: console.url, link }) : `open ${link}`)
          await new Promise<void>((resolve) => {
            if (signal.aborted) resolve()
            else signal.addEventListener('abort', () => resolve())
          })
        } finally {
          await console.stop()
        }
        return 0
      })
    },
  }),
  'console link': command({
    summary: 'print a link that lets somebody into the console once',
    options: { name: TEXT, url: TEXT },
    help: `usage: keyferry console link [--name NAME] [--url URL] [--json]

Prints a link that opens a session of the console once, within ten minutes. Give it to nobody else: whoever opens it first is let in.
--name  who it is for: what the log says; your user name unless given
--url   where the console is; the last one over this directory unless given

example: keyferry console link --name ada
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { options, directory, out, now } = invocation
        const address =
          options.url === undefined ? knownAddress(directory) : parseBaseUrl(options.url)
        const name = options.name ?? ownName()
        const link = linkTo(address, store, name, now())
        out(options.json === true ? JSON.stringify({ link, name, ends: now() + LINK_TIME }) : link)
        return Promise.resolve(0)
      }),
  }),
  'console token': command({
    summary: 'print a token for scripts that use the console',
    options: { name: TEXT, for: TEXT, 'read-only': FLAG },
    help: `usage: keyferry console token --name NAME [--for TIME] [--read-only] [--json]

Prints a bearer token for the console's API, once; the database keeps its hash. The log says that it was made.
--name       what it is for: what the log says of what is done with it
--for        how long it is good (30d), at most 366 days
--read-only  it changes nothing

example: keyferry console token --name monitoring --for 90d --read-only
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { options, out, now } = invocation
        const name = required(options.name, 'name')
        const lifetime = duration(options.for ?? '30d', 'for')!
        const kind = options['read-only'] === true ? 'reader' : 'token'
        const token = makeToken(store, name, kind, lifetime, now())
        const ends = now() + lifetime
        out(options.json === true ? JSON.stringify({ token, name, ends }) : token)
        return Promise.resolve(0)
      }),
  }),
  'console list': command({
    summary: 'list links, sessions and tokens of the console',
    options: {},
    help: `usage: keyferry console list [--json]

Lists who is let into the console: links that wait, sessions, and tokens for scripts.

example: keyferry console list
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const all = listAccess(store, invocation.now())
        const lines = all.map(
          ({ id, kind, name, made, used, ends }) =>
            `${id}  ${kind}  ${name}  since ${date(made)}  ${useOf(kind, made, used)}  until ${date(ends)}`,
        )
        const text = lines.join('\n') || 'nobody is let in'
        invocation.out(invocation.options.json === true ? JSON.stringify(all) : text)
        return Promise.resolve(0)
      }),
  }),
  'console revoke': command({
    summary: 'end links, sessions and tokens of the console',
    operands: 1,
    options: { all: FLAG },
    help: `usage: keyferry console revoke ID|NAME [--json]
       keyferry console revoke --all [--json]

Ends a link, session or token by its id, or all that were made for a name. Pages that are open notice within ten seconds.

example: keyferry console revoke ada
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { options, operands, out } = invocation
        if ((options.all === true) === (operands.length === 1) || operands.length > 1)
          usage('one id or name, or --all')
        const ended = endAccess(store, options.all === true ? null : operands[0]!)
        out(options.json === true ? JSON.stringify({ ended }) : `${ended} ended`)
        return Promise.resolve(0)
      }),
  }),
}
