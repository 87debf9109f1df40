/** `npm run dependencies`: what other people's code there is, where it runs, and under which licences. docs/dependencies.md says why. */
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { runCommand } from './command.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Folders with a lock of their own. */
export const LOCKED: readonly string[] = ['.', 'tools/nodes', 'tools/site']

/** Of what is handed on with Keyferry, or installed with it. */
const PERMISSIVE = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']
/** Of tools, which nobody gets from us, also these. */
const TOOLS = ['CC0-1.0', 'LGPL-3.0+', 'LGPL-3.0-or-later', 'MPL-2.0', ...PERMISSIVE]
/** What says nothing in its package.json, after its LICENSE file. */
const UNSAID: Record<string, string> = { 'node-22-linux-x64': 'MIT' }

interface Locked {
  version?: string
  license?: string
  integrity?: string
  dev?: boolean
  devOptional?: boolean
  hasInstallScript?: boolean
}
export interface Lock {
  packages: Record<string, Locked>
}
export interface Manifest {
  scripts?: Record<string, string>
  allowScripts?: Record<string, boolean>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

const readJson = <T>(...path: string[]): T =>
  JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')) as T
export const readManifest = (folder: string): Manifest => readJson(folder, 'package.json')
const readLock = (folder: string): Lock => readJson(folder, 'package-lock.json')

/** An SPDX expression without brackets: every part joined by AND has to be allowed, one of those joined by OR. */
function isAllowed(license: string | undefined, allowed: readonly string[]): boolean {
  const either = (license ?? '').replace(/^\((.*)\)$/, '$1').split(' OR ')
  return either.some((all) => all.split(' AND ').every((one) => allowed.includes(one)))
}

/** What is wrong with a folder's packages: `given` names those whose code reaches somebody else. */
export function findProblems(manifest: Manifest, lock: Lock, given: readonly string[]): string[] {
  const problems: string[] = []
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifest
  const wanted = {
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
    ...peerDependencies,
  }
  for (const [name, version] of Object.entries(wanted))
    if (!/^(npm:@?[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      problems.push(`${name}: ${version} is not an exact version`)
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
    if (manifest.scripts?.[script] !== undefined) problems.push(`a script of ours: ${script}`)
  for (const [path, one] of Object.entries(lock.packages)) {
    if (path === '') continue
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const isTool = (one.dev ?? one.devOptional ?? false) && !given.includes(name)
    const license = one.license ?? UNSAID[name]
    if (!isAllowed(license, isTool ? TOOLS : PERMISSIVE))
      problems.push(`${name}: its licence is ${license ?? 'not said'}`)
    if (one.integrity === undefined) problems.push(`${name}: the lock has no hash`)
    if (one.hasInstallScript === true && manifest.allowScripts?.[name] === undefined)
      problems.push(`${name}: runs a script when it is installed`)
  }
  return problems
}

/** Other packages that a file and what it imports need: when it is loaded, and only later. */
export async function packagesOf(file: string): Promise<{ loaded: string[]; later: string[] }> {
  const { metafile } = await build({
    entryPoints: [join(ROOT, file)],
    absWorkingDir: ROOT,
    outdir: 'unwritten',
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    format: 'esm',
    packages: 'external',
    loader: { '.sql': 'text' },
    logLevel: 'error',
  })
  const { outputs } = metafile
  const isEntry = (path: string): boolean => outputs[path]!.entryPoint === relative('', file)
  const now = new Set([Object.keys(outputs).find(isEntry)!])
  const namesIn = (paths: Iterable<string>): Set<string> =>
    new Set(
      [...paths]
        .flatMap((path) => outputs[path]!.imports)
        .filter(({ external, path }) => external === true && !/^(node|cloudflare):/.test(path))
        .map(({ path }) => /^(@[^/]+\/)?[^/]+/.exec(path)![0]),
    )
  // A set is walked with what is added meanwhile.
  for (const path of now)
    for (const one of outputs[path]!.imports)
      if (one.kind === 'import-statement' && one.external !== true) now.add(one.path)
  const loaded = namesIn(now)
  const later = [...namesIn(Object.keys(outputs))].filter((name) => !loaded.has(name))
  return { loaded: [...loaded].toSorted(), later: later.toSorted() }
}

/** What each part of Keyferry loads of others, by its first file. */
export const PARTS: Record<string, string> = {
  client: 'web/index.ts',
  enrolment: 'web/enroll.ts',
  'client in Node': 'web/node.ts',
  'client on noble': 'web/noble/index.ts',
  'deriver, as a library': 'deriver/index.ts',
  'deriver, with its commands': 'deriver/cli.ts',
  relay: 'worker/index.ts',
}

/** Packages whose code is in the tarball's dependencies or in the relay's bundle. */
export async function handedOn(): Promise<string[]> {
  const { loaded, later } = await packagesOf(PARTS['relay']!)
  return [...Object.keys(readManifest('.').dependencies!), ...loaded, ...later]
}

/** What is wrong anywhere. */
export async function findAllProblems(): Promise<string[]> {
  const names = await handedOn()
  return LOCKED.flatMap((folder) =>
    findProblems(readManifest(folder), readLock(folder), names).map((one) => `${folder}: ${one}`),
  )
}

const USAGE = `usage: npm run dependencies

Prints which other packages each part of Keyferry loads, and how many the locks name; checks exact versions, hashes, licences and scripts.

exit status: 0 as it should be, 1 not, 2 wrong use
`

async function run(): Promise<number> {
  for (const [part, file] of Object.entries(PARTS)) {
    const { loaded, later } = await packagesOf(file)
    const count = loaded.length + later.length
    const names = [...loaded, ...later.map((name) => `${name} (later)`)].join(', ')
    process.stdout.write(`${part}: ${count} packages${count > 0 ? `: ${names}` : ''}\n`)
  }
  for (const folder of LOCKED) {
    const { packages } = readLock(folder)
    const count = Object.keys(packages).length - 1
    process.stdout.write(`${join(folder, 'package-lock.json')}: ${count} packages\n`)
  }
  const problems = await findAllProblems()
  for (const problem of problems) process.stderr.write(`dependencies: error: ${problem}\n`)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main)
  process.exitCode = await runCommand({ name: 'dependencies', usage: USAGE, options: {}, run })
