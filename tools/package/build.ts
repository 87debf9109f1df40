/**
 * The package as strangers get it: JavaScript with declarations, since Node takes no TypeScript under node_modules. What it holds follows from the
 * `exports` and `bin` of package.json; what it depends on, from what its files import.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Plugin } from 'esbuild'
import { bundlePage } from '../../deriver/console/bundle.ts'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

/** The parts of the checkout's package.json that the package's own is made of. */
interface Manifest {
  name: string
  version: string
  description: string
  license: string
  repository?: { url: string }
  /** What clients need; the command looks for itself. */
  engines: { node: string }
  bin: Record<string, string>
  exports: Record<string, string>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
}

export function readManifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
}

const compiled = (file: string, ending: string): string => file.replace(/\.ts$/, ending)

function filesOf(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    ending.test(name),
  )
}

/** tsc leaves `.ts` in declarations, and an empty import where it took types away. */
function tidy(folder: string): void {
  for (const name of filesOf(folder, /\.(js|d\.ts)$/)) {
    const file = join(folder, name)
    const text = readFileSync(file, 'utf8')
    const tidied = name.endsWith('.js')
      ? text.replaceAll(/^import \{\} from '[^']+';\n/gm, '')
      : text.replaceAll(/(from ')(\.[^']+)\.ts'/g, "$1$2.js'")
    if (tidied !== text) writeFileSync(file, tidied)
  }
}

/** Other packages that the compiled files import. */
function importsOf(folder: string): Set<string> {
  const names = filesOf(folder, /\.js$/).flatMap((name) =>
    [
      ...readFileSync(join(folder, name), 'utf8').matchAll(
        /^(?:import|export) [^']*? from '([^']+)'|^import '([^']+)'|import\('([^']+)'\)/gm,
      ),
    ].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!),
  )
  const others = names.filter((name) => !/^(\.|node:)/.test(name))
  return new Set(others.map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)![0]))
}

function packageJson(manifest: Manifest, folder: string): Record<string, unknown> {
  const { name, version, description, license, repository, engines, dependencies } = manifest
  const used = importsOf(folder)
  const optional = Object.keys(manifest.peerDependencies)
  const unknown = [...used].filter((one) => !(one in dependencies) && !optional.includes(one))
  if (unknown.length > 0) throw new Error(`not among the dependencies: ${unknown.join(', ')}`)
  const entry = (file: string) => ({
    types: compiled(file, '.d.ts'),
    default: compiled(file, '.js'),
  })
  return {
    name,
    version,
    description,
    license,
    repository,
    type: 'module',
    sideEffects: false,
    engines,
    exports: {
      ...Object.fromEntries(
        Object.entries(manifest.exports).map(([path, file]) => [path, entry(file)]),
      ),
      './package.json': './package.json',
    },
    bin: Object.fromEntries(
      Object.entries(manifest.bin).map(([command, file]) => [command, compiled(file, '.js')]),
    ),
    files: readdirSync(folder).filter((file) => file !== 'package.json'),
    dependencies: Object.fromEntries(
      Object.entries(dependencies).filter(([dependency]) => used.has(dependency)),
    ),
    peerDependencies: manifest.peerDependencies,
    peerDependenciesMeta: manifest.peerDependenciesMeta,
  }
}

/** Compiles the entries and what they import into a folder, which is emptied first. Throws with what tsc says where types are wrong. */
export function compile(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { exports, bin } = readManifest()
  const config = join(folder, 'tsconfig.json')
  const compilerOptions = {
    lib: ['es2024', 'dom', 'dom.iterable'],
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
    composite: false,
    emitDeclarationOnly: false,
    stripInternal: true,
    rootDir: ROOT,
    outDir: folder,
  }
  const files = [...Object.values(exports), ...Object.values(bin)].map((file) => join(ROOT, file))
  writeFileSync(
    config,
    JSON.stringify({ extends: join(ROOT, 'tsconfig.base.json'), compilerOptions, files }),
  )
  const typescript = createRequire(import.meta.url).resolve('typescript/package.json')
  const tsc = join(dirname(typescript), 'bin/tsc')
  try {
    execFileSync(process.execPath, [tsc, '-p', config], { cwd: ROOT, encoding: 'utf8' })
  } catch (error) {
    throw new Error((error as { stdout: string }).stdout, { cause: error })
  }
  rmSync(config)
  tidy(folder)
}

/** The page of the package: docs/client.md, whose neighbours are not in it. */
function readme(): string {
  const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8')
  return page.replaceAll(/\[([^\]]+)\]\((?![a-z]+:|#)[^)]+\)/g, '$1')
}

/** What a page imports, by what docs/client.md calls it. */
const IMPORTS = {
  'connect, openIndexedDbStore': "export { connect, openIndexedDbStore } from './web/index.js'",
  'with enrolment': `export { connect, openIndexedDbStore } from './web/index.js'
export { enrollAt, openIdentity, renewBy } from './web/enroll.js'`,
}

/** What is imported when it is needed is left out, as bundlers that make chunks do. */
const leaveLazy: Plugin = {
  name: 'leave lazy',
  setup(one) {
    one.onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined,
    )
  },
}

/** Bytes of what a page bundles of a built package, minified, before and after gzip: what it loads first. */
export async function bundledSizes(
  folder: string,
): Promise<{ name: string; minified: number; gzip: number }[]> {
  const sizes = Object.entries(IMPORTS).map(async ([name, contents]) => {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: folder },
      nodePaths: [join(ROOT, 'node_modules')],
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      plugins: [leaveLazy],
    })
    const { contents: code } = outputFiles[0]!
    return { name, minified: code.length, gzip: gzipSync(code, { level: 9 }).length }
  })
  return Promise.all(sizes)
}

/** The console's page as a module of texts: a package that is bundled again takes it along. */
function writePage(folder: string): void {
  const texts = Object.entries(bundlePage()).map(
    ([name, text]) => `export const ${name} = ${JSON.stringify(text)}\n`,
  )
  writeFileSync(join(folder, 'deriver/console/built-page.js'), texts.join(''))
}

/** Builds the package into a folder, ready for `npm pack`. */
export function buildPackage(folder: string): void {
  const manifest = readManifest()
  compile(folder)
  writePage(folder)
  for (const file of Object.values(manifest.bin))
    chmodSync(join(folder, compiled(file, '.js')), 0o755)
  writeFileSync(join(folder, 'README.md'), readme())
  for (const file of ['LICENSE', 'CHANGELOG.md']) cpSync(join(ROOT, file), join(folder, file))
  const json = packageJson(manifest, folder)
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(json, null, 2)}\n`)
}

/** What `npm pack` made. */
export interface Packed {
  /** Path of the tarball. */
  file: string
  /** Bytes. */
  size: number
  unpackedSize: number
  /** Paths inside the package. */
  files: string[]
}

/** Packs a built folder into a tarball in `into`. No network is used. */
export function pack(folder: string, into: string): Packed {
  const args = ['pack', folder, '--json', '--silent', '--offline', '--pack-destination', into]
  const isWindows = process.platform === 'win32'
  const out = execFileSync(isWindows ? 'npm.cmd' : 'npm', args, {
    cwd: into,
    encoding: 'utf8',
    shell: isWindows,
  })
  interface Answer {
    filename: string
    size: number
    unpackedSize: number
    files: { path: string }[]
  }
  const parsed = JSON.parse(out) as Answer[] | Record<string, Answer>
  const [answer] = Object.values(parsed)
  const { filename, size, unpackedSize, files } = answer!
  return { file: join(into, filename), size, unpackedSize, files: files.map(({ path }) => path) }
}
