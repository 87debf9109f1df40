/** nginx in front of a relay, with the configuration that docs/self-hosting.md shows. TLS is left out: what is tried is the rest. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

const PAGE = new URL('../../docs/self-hosting.md', import.meta.url)

export const hasNginx = spawnSync('nginx', ['-v']).error === undefined

/** nginx cannot take port 0: a free one, that somebody else may yet take before it does. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** Starts nginx in a directory of its own; `port` is the relay's. */
export async function startNginx(
  directory: string,
  port: number,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const shown = /```nginx\n([^`]+)```/.exec(readFileSync(PAGE, 'utf8'))![1]!
  const own = await freePort()
  const server = shown
    .replaceAll('listen 443 ssl', `listen 127.0.0.1:${own}`)
    .replace(/^ *ssl_.*\n/gm, '')
    .replace('server_name relay.example.com', 'server_name 127.0.0.1')
    .replace('http://127.0.0.1:8787', `http://127.0.0.1:${port}`)
  const folder = join(directory, 'nginx')
  mkdirSync(folder, { recursive: true })
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n')
  const file = join(folder, 'nginx.conf')
  writeFileSync(
    file,
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log;\nevents {}\nhttp {\naccess_log off;\n${paths}\n${server}}\n`,
  )
  const child = spawn('nginx', ['-c', file], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = `http://127.0.0.1:${own}`
  for (let left = 100; ; left--) {
    try {
      await fetch(url)
      break
    } catch {
      if (left === 0) throw new Error(readFileSync(`${folder}/error.log`, 'utf8'))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return {
    url,
    async stop() {
      child.kill('SIGQUIT')
      child.kill('SIGTERM')
      await ended
    },
  }
}
