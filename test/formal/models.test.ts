// The formal models say what their recorded tables say, and name the checks of docs/PROTOCOL.md.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findProgram, formal, MODELS, scriptOf } from './models.ts'

const spin = ['spin', 'gcc'].every((name) => findProgram(name) !== undefined)
const proverif = findProgram('proverif') !== undefined
if (!spin) console.warn('Spin models are not run: apt-get install spin gcc libc6-dev')
if (!proverif)
  console.warn('ProVerif models are not run: proverif is no package of Debian; opam has it')

function run(
  script: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ status: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(findProgram('bash')!, [script, ...args], { env }, (_, out, err) => {
      resolve({ status: child.exitCode ?? -1, out, err })
    })
  })
}

describe('models', () => {
  it.skipIf(!spin).each(['generations', 'authority'] as const)(
    '%s.sh prints its recorded table',
    { timeout: 240_000 },
    async (model) => {
      const { status, out, err } = await run(scriptOf(model))
      expect({ status, err, out }).toEqual({
        status: 0,
        err: '',
        out: await readFile(join(formal, `${model}.txt`), 'utf8'),
      })
    },
  )

  it.skipIf(!proverif)(
    'keyferry.sh prints its recorded answers',
    { timeout: 240_000 },
    async () => {
      const { status, out } = await run(scriptOf('keyferry'))
      expect(status, out).toBe(0)
    },
  )
})

describe('scripts', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keyferry-formal-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it.skipIf(!spin)('a table that differs from the recorded one is status 1', async () => {
    const copy = join(folder, 'formal')
    await cp(formal, copy, { recursive: true })
    const script = join(copy, 'generations.sh')
    const [row] = (await readFile(script, 'utf8')).match(/^row .*$/m)!
    await writeFile(script, `. "$(dirname "$0")/spin.sh"\n${row}\nfinish\n`)
    expect((await run(script)).status).toBe(1)
    expect((await run(script, ['--record'])).status).toBe(0)
    expect((await run(script)).status).toBe(0)
    await writeFile(script, `. "$(dirname "$0")/spin.sh"\nrow "no such syntax" -Dinline\nfinish\n`)
    expect((await run(script, ['--record'])).status).toBe(1)
  })

  it('without the tool a script says what is missing: status 3', async () => {
    await mkdir(join(folder, 'bin'))
    for (const name of ['dirname', 'basename'])
      await symlink(findProgram(name)!, join(folder, 'bin', name))
    for (const model of MODELS) {
      const { status, err } = await run(scriptOf(model), [], { PATH: join(folder, 'bin') })
      expect(status).toBe(3)
      expect(err).toMatch(new RegExp(`^${model}: not run: \\w+ is not installed \\(\\w+`))
    }
  })

  it('every script with a table is a model, and every model has both', async () => {
    const names = await readdir(formal)
    const ending = (end: string): string[] =>
      names.filter((name) => name.endsWith(end)).map((name) => basename(name, end))
    const models = [...MODELS].toSorted()
    expect(ending('.sh').toSorted()).toEqual([...models, 'spin'].toSorted())
    expect(ending('.txt').toSorted()).toEqual(models)
  })
})

describe('tags', () => {
  it('every check that a model names is one of docs/PROTOCOL.md', async () => {
    const protocol = await readFile(join(formal, '../../docs/PROTOCOL.md'), 'utf8')
    const defined = new Set([...protocol.matchAll(/^\d+\. `(\[[a-z]+-\d+\])`/gm)].map(([, t]) => t))
    const files = (await readdir(formal)).filter((name) => /\.(pml|pv)$|^README\.md$/.test(name))
    expect(files.length).toBeGreaterThan(9)
    const unknown: string[] = []
    for (const name of files) {
      const text = await readFile(join(formal, name), 'utf8')
      const named = [...text.matchAll(/\[[a-z]+-\d+\]/g)].map(([one]) => one)
      if (named.length === 0) unknown.push(`${name} names none`)
      unknown.push(...named.filter((one) => !defined.has(one)).map((one) => `${name} ${one}`))
    }
    expect(unknown).toEqual([])
  })
})
