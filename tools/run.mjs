// Runs a local bin (wrangler, vitest, node, ...) with the telemetry of wrangler and miniflare off, and with Node's compile cache: every process
// that is started below finds its modules compiled, and .ts ones stripped of their types.
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'

Object.assign(process.env, {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_WRITE_LOGS: 'false',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
})
// wrangler writes a settings file even then: without a writable home it goes beside its state.
try {
  accessSync(homedir(), constants.W_OK)
} catch {
  process.env.XDG_CONFIG_HOME ??= fileURLToPath(new URL('../.wrangler/config', import.meta.url))
}
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL('../node_modules/.cache/node', import.meta.url),
)
const bins = fileURLToPath(new URL('../node_modules/.bin', import.meta.url))
process.env.PATH = bins + delimiter + (process.env.PATH ?? '')

const [bin, ...args] = process.argv.slice(2)
if (!bin) {
  console.error('usage: node tools/run.mjs BIN [ARGUMENT...]')
  process.exit(2)
}
const child = spawn(bin, args, { stdio: 'inherit', shell: process.platform === 'win32' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(`${bin}: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
