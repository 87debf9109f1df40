/** The app of docs/client.md, made by what stands there: its commands run, its files written, its backend and deriver as processes. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { ROOT } from '../../tools/package/build.ts'
import { blocksOf, installPackage, packInto } from './consumer.ts'
import { spawnRelay } from './processes.ts'

const run = promisify(execFile)
const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8')
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
}
/** What the page calls the files whose blocks it shows first. */
export const FILES = { html: 'index.html', ts: ['vite.config.ts', 'src/main.ts'] }

/** The app, up to where the page would be opened. */
export interface NotesApp {
  /** Its folder. */
  project: string
  origin: string
  relayUrl: string
  /** Where the backend listens, and the path that logs in. */
  backend: string
  loginPath: string
  /** Text of the page with the addresses of this machine. */
  here(text: string): string
  /** Answers at the origin from now on. */
  serve(answer: RequestListener): void
  close(): Promise<void>
}

async function firstLine(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (pattern.test(line)) resolve(line)
    })
    child.once('exit', (code) => reject(new Error(`the backend ended with ${code}`)))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill()
  await ended
}

export async function startNotesApp(): Promise<NotesApp> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const [project, server] = [join(directory, 'notes-app'), join(directory, 'notes-server')]
  const packed = packInto(directory)
  const relay = await spawnRelay(join(directory, 'relay'), 'CODE')
  let answer: RequestListener = (_, response) => void response.writeHead(404).end()
  const front = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const origin = `http://localhost:${(front.address() as AddressInfo).port}`
  const here = (text: string): string =>
    text
      .replaceAll('http://127.0.0.1:8787', relay.url)
      .replaceAll('http://localhost:5173', origin)
      .replaceAll('https://relay.example', relay.url)
      .replaceAll('wss://relay.example', relay.url.replace('http', 'ws'))
  /** The block of commands that holds this text. */
  const commands = (part: string): string => {
    const found = blocksOf(page, 'sh').find((block) => block.includes(part))
    if (found === undefined) throw new Error(`docs/client.md has no command ${part}`)
    return here(found)
  }
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
    KEYFERRY_PASSPHRASE: 'for trying only',
  }
  /** npm asks a registry: here the packages come from this checkout. */
  const shell = (part: string, cwd: string) => {
    const text = commands(part).replaceAll(/^npm .*$/gm, '')
    return run('bash', ['-euc', text], { cwd, env, timeout: 110_000 })
  }
  await shell('mkdir notes-server', directory)
  installPackage(server, packed, ['hono'])
  await shell('npx keyferry init', server)
  // The process itself, to be stopped.
  const service = commands('npx keyferry run').trim().split(' ').slice(2)
  const bin = join(server, 'node_modules/.bin/keyferry')
  const deriver = spawn(process.execPath, [bin, ...service], { cwd: server, env, stdio: 'ignore' })

  const enrolment = blocksOf(readFileSync(join(ROOT, 'docs/enrolment.md'), 'utf8'), 'ts')[0]!
  writeFileSync(join(server, 'enrolment.ts'), enrolment)
  const [variable, , file] = commands('node enrolment.ts').trim().split(' ')
  const backend = spawn(process.execPath, [file!], {
    cwd: server,
    env: { ...env, ORIGIN: variable!.split('=')[1]!, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const login = new URL(await firstLine(backend, /\/login\//))

  await shell('mkdir -p notes-app', directory)
  installPackage(project, packed, ['vite'])
  writeFileSync(join(project, FILES.html), blocksOf(page, 'html')[0]!)
  for (const [i, name] of FILES.ts.entries())
    writeFileSync(join(project, name), blocksOf(page, 'ts')[i]!)
  return {
    project,
    origin,
    relayUrl: relay.url,
    backend: login.origin,
    loginPath: login.pathname,
    here,
    serve: (next) => void (answer = next),
    async close() {
      await Promise.all([stop(deriver), stop(backend)])
      front.closeAllConnections()
      front.close()
      await relay.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** The files of a folder under a policy. */
export function serveFolder(folder: string, policy: string): RequestListener {
  return (request, response) => {
    const pathname = request.url!.split('?')[0]!
    const file = join(folder, pathname === '/' ? 'index.html' : pathname)
    readFile(file).then(
      (body) => {
        const type = TYPES[extname(file)] ?? 'application/octet-stream'
        response.writeHead(200, { 'content-type': type, 'content-security-policy': policy })
        response.end(body)
      },
      () => response.writeHead(404).end(),
    )
  }
}
