/** `npm run selfhost`: a directory from which the relay runs on a machine that has neither Node nor npm. */
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand, UsageError } from '../tools/command.ts'
import { makeConfig, readShape } from './config.ts'

const USAGE = `usage: npm run selfhost -- --out DIR [--cluster URL]

Writes the relay for one machine into a directory: workerd, the Worker's bundle as \`npm run build\` makes it, relay.capnp, and a unit for systemd.
An older build in DIR is replaced as a whole; the databases are elsewhere. How to go on: docs/self-hosting.md.

  --out DIR       a directory that is absent, empty, or an older build
  --cluster URL   for several machines that share a bucket, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, with a newer workerd; experimental, see docs/cluster.md

example: npm run selfhost -- --out /tmp/keyferry-relay

exit status: 0 done, 1 DIR is something else, 2 wrong use, 3 the bundle could not be made
`

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CONFIG = 'relay.capnp'
const COPIES = {
  'keyferry-relay.service': 'selfhost',
  'self-hosting.md': 'docs',
  'cluster.md': 'docs',
  LICENSE: '',
}
/** The bucket of a cluster. */
const BUCKET = /^(s3|gs):\/\/[a-z0-9][a-z0-9.-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/

/** Whether there is nothing to lose in a directory. */
function isReplaceable(directory: string): boolean {
  return (
    !existsSync(directory) ||
    existsSync(join(directory, CONFIG)) ||
    readdirSync(directory).length === 0
  )
}

function bundle(directory: string): void {
  const wrangler = ['wrangler', 'deploy', '--dry-run', '--minify', '--outdir', directory]
  const made = spawnSync(process.execPath, ['tools/run.mjs', ...wrangler], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`wrangler ended with ${made.status}: ${made.stderr}`)
  rmSync(join(directory, 'README.md'), { force: true })
  rmSync(join(directory, 'index.js.map'), { force: true })
}

/** The file of a workerd: that of the lock, or, for a cluster, the newer one that has it. Throws where there is none for this machine. */
function workerdFor(cluster: string | undefined): string {
  const { resolve: find } = createRequire(import.meta.url)
  if (cluster === undefined)
    return (createRequire(import.meta.url)('workerd') as { default: string }).default
  const machine = process.arch === 'x64' ? '64' : process.arch
  try {
    return find(`workerd-cluster-linux-${machine}/bin/workerd`)
  } catch (cause) {
    throw new Error(`no workerd with cluster mode for ${process.platform} ${process.arch}`, {
      cause,
    })
  }
}

/** A page that lies there without its neighbours: a link to one that is not copied is its name alone. */
function withoutDeadLinks(page: string): string {
  return page.replaceAll(
    /\[([^\]]+)\]\(([\w./-]+)(#[\w-]+)?\)/g,
    (link, text: string, path: string) => (Object.hasOwn(COPIES, path) ? link : text),
  )
}

/** Writes the directory. Throws when wrangler or the disk fail; an older build then stays as it was. */
function build(out: string, cluster: string | undefined): void {
  const workerd = workerdFor(cluster)
  const part = `${out}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true })
  bundle(part)
  writeFileSync(
    join(part, CONFIG),
    makeConfig(readShape(part), cluster === undefined ? undefined : { bucket: cluster }),
  )
  for (const [name, folder] of Object.entries(COPIES)) {
    const from = join(ROOT, folder, name)
    if (name.endsWith('.md'))
      writeFileSync(join(part, name), withoutDeadLinks(readFileSync(from, 'utf8')))
    else copyFileSync(from, join(part, name))
  }
  copyFileSync(workerd, join(part, 'workerd'))
  const old = `${out}.old`
  rmSync(old, { recursive: true, force: true })
  if (existsSync(out)) renameSync(out, old)
  renameSync(part, out)
  rmSync(old, { recursive: true, force: true })
}

function run(values: { out?: string | undefined; cluster?: string | undefined }): number {
  if (values.out === undefined) throw new UsageError('--out is needed')
  if (values.cluster !== undefined && !BUCKET.test(values.cluster))
    throw new UsageError('--cluster takes s3://BUCKET/PREFIX or gs://BUCKET/PREFIX')
  const out = resolve(values.out)
  if (!isReplaceable(out)) {
    process.stderr.write(`selfhost: error: ${out} is there, and is no older build of the relay\n`)
    return 1
  }
  build(out, values.cluster)
  process.stdout.write(
    `${out}: see ${values.cluster === undefined ? 'self-hosting' : 'cluster'}.md there\n`,
  )
  return 0
}

const options = { out: { type: 'string' }, cluster: { type: 'string' } } as const

if (import.meta.main)
  process.exitCode = await runCommand({ name: 'selfhost', usage: USAGE, options, run })
