/** `npm run package` makes the tarball, `npm run api` renews the record of the public types. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { describeApi } from './api.ts'
import { buildPackage, bundledSizes, compile, pack, readManifest, ROOT } from './build.ts'

const HELP = `usage: npm run package [-- --json]
       npm run api

package  compiles the package into dist/package and packs it: dist/keyferry-VERSION.tgz, to be installed by path
api      writes the public types of each entry to docs/api, where a test compares them with the source

example: npm run package && (cd ../my-app && npm install ../keyferry/dist/keyferry-0.1.0.tgz)
exit: 0 done, 1 does not compile, 2 usage
`

/** By file name in docs/api: the public types of each entry. */
export function readApi(folder: string): Map<string, ReturnType<typeof describeApi>> {
  return new Map(
    Object.entries(readManifest().exports).map(([path, file]) => [
      `${path === '.' ? 'index' : path.slice(2).replaceAll('/', '-')}.d.ts`,
      describeApi(folder, file.replace(/\.ts$/, '.d.ts')),
    ]),
  )
}

async function makePackage(asJson: boolean): Promise<void> {
  const folder = join(ROOT, 'dist/package')
  buildPackage(folder)
  const packed = pack(folder, join(ROOT, 'dist'))
  const file = relative(ROOT, packed.file)
  const sizes = await bundledSizes(folder)
  const { files, size, unpackedSize } = packed
  const lines = [
    `${file}: ${files.length} files, ${size} bytes, ${unpackedSize} unpacked`,
    ...sizes.map(
      ({ name, minified, gzip }) => `in a page: ${minified} bytes, ${gzip} with gzip: ${name}`,
    ),
  ]
  console.log(asJson ? JSON.stringify({ ...packed, file, sizes }) : lines.join('\n'))
}

function renewApi(): void {
  const folder = mkdtempSync(join(tmpdir(), 'keyferry-api-'))
  try {
    compile(folder)
    const into = join(ROOT, 'docs/api')
    mkdirSync(into, { recursive: true })
    const api = readApi(folder)
    for (const name of readdirSync(into))
      if (name.endsWith('.d.ts') && !api.has(name)) rmSync(join(into, name))
    for (const [name, { text }] of api) writeFileSync(join(into, name), text)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const usage = (): never => {
    process.stderr.write(HELP)
    process.exit(2)
  }
  const options = { help: { type: 'boolean' }, json: { type: 'boolean' } } as const
  const given = () => {
    try {
      return parseArgs({ options, allowPositionals: true })
    } catch {
      return usage()
    }
  }
  const { values, positionals } = given()
  const [what, ...more] = positionals
  if (values.help) process.stdout.write(HELP)
  else if (more.length > 0) usage()
  else
    try {
      if (what === 'package') await makePackage(values.json === true)
      else if (what === 'api') renewApi()
      else usage()
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`)
      process.exitCode = 1
    }
}
