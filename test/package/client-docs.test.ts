/** docs/client.md against the package: its blocks compile, its tables name what there is, its sizes are measured. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { bundledSizes, ROOT } from '../../tools/package/build.ts'
import { blocksOf, installPackage, packInto } from '../lib/consumer.ts'

const run = promisify(execFile)
const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8')

let directory: string
let project: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  project = join(directory, 'project')
  installPackage(project, packInto(directory))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('docs/client.md', () => {
  /** What its blocks take as given; each is a function of its own, so that it may name things anew. */
  const GIVEN = `import { connect, isKeyferryError, openIndexedDbStore, type AppConfigJson, type Keyferry, type Keyring, type Store } from 'keyferry'
import { enrollAt } from 'keyferry/enroll'
import { createFileStore, identityFromPem } from 'keyferry/node'
declare const config: AppConfigJson, store: Store, keyferry: Keyferry, notes: Keyring
declare const message: Uint8Array, rows: { id: number; message: Uint8Array }[], note: { id: number }
declare const file: File, id: string, size: number, context: string, signal: AbortSignal
declare const show: (text: string) => void, report: (name: string, detail: unknown) => void
declare const read: (name: string) => Promise<string>
export const given = [connect, isKeyferryError, openIndexedDbStore, enrollAt, createFileStore, identityFromPem, config, store, keyferry, notes, message, rows, note, file, id, size, context, signal, show, report, read]
`
  const compile = async (blocks: readonly string[]): Promise<string> => {
    const folder = join(project, 'blocks')
    mkdirSync(folder, { recursive: true })
    for (const [i, block] of blocks.entries())
      writeFileSync(
        join(folder, `block-${i}.ts`),
        `${GIVEN}export async function block() {\n${block}}\n`,
      )
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      types: [],
      strict: true,
      noEmit: true,
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    const require = createRequire(import.meta.url)
    const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
    return run(process.execPath, [tsc, '-p', folder]).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    )
  }

  it('every other block of it compiles', { timeout: 120_000 }, async () => {
    const blocks = blocksOf(page, 'ts').slice(2)
    expect(blocks.length).toBeGreaterThan(10)
    expect(await compile(blocks)).toBe('')
    // That it would say so.
    expect(await compile([blocks[0]!.replace('onPending', 'onWaiting')])).toContain('onWaiting')
  })

  it('names all states and events of a client, and no others', () => {
    const types = readFileSync(join(ROOT, 'docs/api/index.d.ts'), 'utf8')
    const states = /type KeyringState = ([^;]+);/.exec(types)![1]!
    const events = /interface ClientEvents \{(.*?)^\}/ms.exec(types)![1]!
    const part = page.slice(page.indexOf('\n## States and events'), page.indexOf('\n## Offline'))
    const [first, second] = part.split(/^\| event /m)
    const named = (table: string): Set<string> =>
      new Set([...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name!))
    expect(named(first!)).toEqual(new Set([...states.matchAll(/'(\w+)'/g)].map(([, one]) => one)))
    expect(named(second!)).toEqual(
      new Set([...events.matchAll(/^ {4}(\w+): \{/gm)].map(([, name]) => name)),
    )
  })

  it('names errors that there are, each once in the table', () => {
    const codes = [...page.matchAll(/ERR_[A-Z_]+[A-Z]/g)].map(([code]) => code)
    expect(codes.filter((code) => !(code in ERROR_CODES))).toEqual([])
    const table = page.slice(page.indexOf('\n## Errors'), page.indexOf('\n## Content'))
    const rows = [...table.matchAll(/^\| (`ERR_[^|]+)\|/gm)].flatMap(([, cell]) =>
      [...cell!.matchAll(/ERR_[A-Z_]+[A-Z]/g)].map(([code]) => code),
    )
    expect(rows.length).toBeGreaterThan(25)
    expect(new Set(rows).size).toBe(rows.length)
  })

  it('has the sizes that `npm run package` prints, to a tenth', async () => {
    const rows = [...page.matchAll(/^\| [^|]+ \| (\d+) +\| (\d+) +\|$/gm)].map(([, ...row]) =>
      row.map(Number),
    )
    const sizes = await bundledSizes(join(directory, 'built'))
    expect(rows).toHaveLength(sizes.length)
    for (const [i, { minified, gzip }] of sizes.entries()) {
      const [wanted, wantedGzip] = rows[i]!
      expect(Math.abs(wanted! - minified / 1000) / (minified / 1000)).toBeLessThan(0.1)
      expect(Math.abs(wantedGzip! - gzip / 1000) / (gzip / 1000)).toBeLessThan(0.1)
    }
  })
})
