// What `wrangler deploy` would upload to production: every binding that the code counts on, nothing secret, and a bundle within its size.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { unstable_readConfig as readConfig, type Unstable_Config as Config } from 'wrangler'
import { SECRETS } from '../../selfhost/config.ts'

/** Bytes after gzip: the goal. */
const LIMIT = 60_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const declared = readFileSync(join(root, 'worker/env.d.ts'), 'utf8')

let directory: string
let output: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const wrangler = ['wrangler', 'deploy', '--dry-run', '--minify', '--outdir', directory]
  const made = spawnSync(process.execPath, ['tools/run.mjs', ...wrangler], {
    cwd: root,
    encoding: 'utf8',
  })
  output = made.stdout + made.stderr
  expect(made.status, output).toBe(0)
}, 60_000)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

it('has every binding that worker/env.d.ts does not call optional or a secret, and the limiter', () => {
  const bound = new Set([...output.matchAll(/^env\.(\w+) /gm)].map(([, name]) => name!))
  const needed = [...declared.matchAll(/^ {4}(\w+): /gm)].flatMap(([, name]) =>
    /^[A-Z]+$/.test(name!) ? [name!] : [],
  )
  expect(needed).toEqual(['TENANT', 'REGISTRY'])
  expect([...bound].toSorted()).toEqual([...needed, 'RATE', 'LOG_SAMPLE'].toSorted())
  expect(output).not.toMatch(/unexpected|deprecat/i)
})

it('has its classes in migrations, no secret in it, and no environment that would lack the bindings', () => {
  const config: Config = readConfig({ config: join(root, 'wrangler.toml') })
  const made = config.migrations.flatMap((step) => step.new_sqlite_classes ?? [])
  const classes = config.durable_objects.bindings.map(({ class_name }) => class_name)
  expect(made.toSorted()).toEqual(classes.toSorted())
  for (const secret of SECRETS) expect(Object.keys(config.vars)).not.toContain(secret)
  // Bindings are not inherited: whoever adds an environment repeats them there.
  expect(readFileSync(join(root, 'wrangler.toml'), 'utf8')).not.toMatch(/^\[+env\./m)
})

it(`is at most ${LIMIT} bytes after gzip`, () => {
  const { length } = gzipSync(readFileSync(join(directory, 'index.js')), { level: 9 })
  console.log(`worker: ${length} bytes after gzip; limit ${LIMIT}`)
  expect(length).toBeLessThanOrEqual(LIMIT)
})
