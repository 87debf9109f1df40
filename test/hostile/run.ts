/** `npm run hostile`: every attack, one line each, in Node and in Chromium. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = `usage: npm run hostile -- [--node] [--json]

Plays every attack on clients and derivers, with a relay that does whatever it likes and with colluders. Prints one line per attack: where it was
played, on whom, the attack, who does it, and the code that answers it. --node leaves Chromium out, --json prints one object per line.
Exit status: 0 all refused, 1 not all, 2 wrong usage.

example: npm run hostile -- --node
`

const root = fileURLToPath(new URL('../../', import.meta.url))

function main(): void {
  const { values } = parseArgs({
    options: {
      node: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    process.stdout.write(USAGE)
    return
  }
  const projects = ['--project', 'relay', ...(values.node === true ? [] : ['--project', 'browser'])]
  const args = [
    'tools/run.mjs',
    'vitest',
    'run',
    ...projects,
    '--reporter=./test/hostile/line-reporter.mjs',
    'hostile',
  ]
  const env = { ...process.env, ...(values.json === true ? { HOSTILE_JSON: '1' } : {}) }
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'ignore'],
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code) => {
    process.exitCode = code === 0 ? 0 : 1
  })
}

try {
  main()
} catch (error) {
  process.stderr.write(`hostile: error: ${(error as Error).message}\n${USAGE}`)
  process.exitCode = 2
}
