// Every fenced block of every page is run or checked: here, or by the test that is named here.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { format } from 'prettier'
import { describe, expect, it, onTestFinished } from 'vitest'
import { COMMON } from '../../deriver/commands/definition.ts'
import { COMMANDS, groupUsage } from '../../deriver/commands/index.ts'
import { ROOT } from '../../tools/package/build.ts'
import { blocksIn, commandsIn, PAGES, spansIn, type Block } from '../lib/markdown.ts'

const { exports, scripts, devDependencies } = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
) as Record<'exports' | 'scripts' | 'devDependencies', Record<string, string>>

/** The tests that run, compile or compare all blocks of a language in a page, as they stand there. */
const ELSEWHERE: Record<string, string> = {
  'README.md sh': 'test/e2e/readme.test.ts',
  'docs/audit.md sh': 'test/cli/audit-page.test.ts',
  'docs/backup.md sh': 'test/cli/backup-page.test.ts',
  'docs/certificates.md sh': 'test/cli/certificates.test.ts',
  'docs/client.md html': 'test/package/client-page.test.ts',
  'docs/client.md http': 'test/package/client-page.test.ts',
  'docs/client.md sh': 'test/lib/notes-app.ts',
  'docs/client.md ts': 'test/package/client-docs.test.ts',
  'docs/command-line.md sh': 'test/e2e/readme.test.ts',
  'docs/console.md sh': 'test/cli/console-page.test.ts',
  'docs/deriver.md sh': 'test/cli/deriver-page.test.ts',
  'docs/enrolment.md ts': 'test/e2e/enrolment-page.test.ts',
  'docs/self-hosting.md nginx': 'test/lib/nginx.ts',
  'docs/trust.md sh': 'test/cli/trust-page.test.ts',
}

/** Programs that a page calls and no test does, as they stand there: what they would need. */
const NOT_HERE: Record<string, string[]> = {
  'an account of Cloudflare': ['docs/OPERATIONS.md wrangler'],
  'root on the machine of a relay': [
    ...['cat', 'mkdir', 'umask'].map((name) => `docs/cluster.md ${name}`),
    ...['cp', 'echo', 'systemctl', 'umask'].map((name) => `docs/self-hosting.md ${name}`),
  ],
  // test/cli/deriver-page.test.ts compares its paths with those of the unit.
  'root on the machine of a deriver': ['chown', 'install', 'runuser', 'useradd'].map(
    (name) => `docs/deriver.md ${name}`,
  ),
  // test/e2e/self-hosting.test.ts starts such a directory, and copies its databases, by programs of its own.
  'a relay that was built before': [
    '/tmp/keyferry-relay/workerd',
    'dirname',
    'do',
    'done',
    'find',
    'mkdir',
    'sqlite3',
    'while',
  ].map((name) => `docs/self-hosting.md ${name}`),
}
const called = new Set<string>()

const blocks = [...PAGES].flatMap(([page, text]) => blocksIn(page, text))
const of = (...languages: string[]): Block[] =>
  blocks.filter(({ language }) => languages.includes(language))
const isElsewhere = ({ page, language }: Block): boolean => `${page} ${language}` in ELSEWHERE
const at = ({ page, line }: Block): string => `${page}:${line}`
/** Blocks of programs that are nobody's here: their section has to say so. */
const isNotRun = ({ page, line }: Block): boolean => {
  const before = PAGES.get(page)!.split('\n').slice(0, line).join('\n')
  return /\nNot run here/.test(before.slice(before.lastIndexOf('\n## ')))
}

const CHECKED = ['', 'text', 'ts', 'tsx', 'json', 'sh', 'yaml', 'ini', 'http', 'html', 'nginx']

describe('every block', () => {
  it('is in a language that is checked', () => {
    const unchecked = blocks.filter((block) => {
      const { language } = block
      if (isElsewhere(block) || isNotRun(block)) return false
      return !CHECKED.includes(language) || language === 'html' || language === 'nginx'
    })
    expect(unchecked.map(at)).toEqual([])
    expect(blocks.length).toBeGreaterThan(80)
  })

  it('that another test checks has one that reads its page', () => {
    const used = new Set(blocks.filter(isElsewhere).map((one) => `${one.page} ${one.language}`))
    expect([...used].toSorted()).toEqual(Object.keys(ELSEWHERE).toSorted())
    for (const [name, test] of Object.entries(ELSEWHERE))
      expect(readFileSync(join(ROOT, test), 'utf8')).toContain(basename(name.split(' ')[0]!))
  })

  it('without a language holds no commands', () => {
    const isCommand = /^(\$ )?(keyferry|npm|npx|node) /m
    expect(of('', 'text').filter(({ code }) => isCommand.test(code)).map(at)).toEqual([]) // prettier-ignore
  })
})

describe('TypeScript', () => {
  /** What tsc says of files against the types of the package. */
  async function compile(files: Record<string, string>): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), code)
    const paths = Object.fromEntries(
      Object.entries(exports).map(([path, file]) => [
        `keyferry${path.slice(1)}`,
        [join(ROOT, file)],
      ]),
    )
    const compilerOptions = {
      lib: ['es2024', 'dom', 'dom.iterable'],
      jsx: 'react-jsx',
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
      paths,
      composite: false,
      noUnusedLocals: false,
      emitDeclarationOnly: false,
      rootDir: '/',
      noEmit: true,
    }
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(ROOT, 'tsconfig.base.json'), compilerOptions }),
    )
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    return promisify(execFile)(process.execPath, [tsc, '-p', folder]).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    )
  }

  it('compiles against the types of the package', async () => {
    const own = of('ts', 'tsx').filter((block) => !isElsewhere(block))
    expect(own.length).toBeGreaterThan(1)
    const files = own.map(({ page, line, language, code }) => [
      `${page.replaceAll(/\W/g, '-')}-${line}.${language}`,
      code,
    ])
    expect(await compile(Object.fromEntries(files))).toBe('')
    // That it would say so.
    const wrong = own[0]!.code.replace('keyferry.keyring(', 'keyferry.keyRing(')
    expect(await compile({ 'wrong.ts': wrong })).toContain('keyRing')
  })
})

describe('data', () => {
  it('of JSON and YAML can be read', async () => {
    for (const block of of('json', 'yaml').filter((one) => !isNotRun(one))) {
      const { language, code } = block
      const read =
        language === 'json'
          ? () => JSON.parse(code) as unknown
          : () => format(code, { parser: 'yaml' })
      await expect(Promise.resolve().then(read), at(block)).resolves.toBeDefined()
    }
  })

  it('of units and INF files has sections and settings alone', () => {
    const isLine = /^(\[[\w ]+\]|[\w.]+ ?=.*( \\)?| {2}--.*)$/
    const odd = of('ini').flatMap((block) =>
      block.code
        .trim()
        .split('\n')
        .filter((line) => !isLine.test(line))
        .map((line) => `${at(block)}: ${line}`),
    )
    expect(odd).toEqual([])
  })

  it('of HTTP has headers that the sources know', () => {
    const sources = ['shared', 'web', 'worker']
      .flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(ROOT, folder, name)))
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(path, 'utf8').toLowerCase())
      .join('')
    const headers = of('http')
      .filter((block) => !isElsewhere(block))
      .flatMap(({ code }) => code.trim().split('\n').map((line) => line.trim().split(':')[0]!)) // prettier-ignore
    expect(headers.length).toBeGreaterThan(3)
    expect(headers.filter((name) => !sources.includes(`'${name.toLowerCase()}'`))).toEqual([])
  })
})

/** What is wrong with a command line of keyferry. In prose, a group of commands may be named. */
function problemOfKeyferry(args: string[], isProse: boolean): string | undefined {
  const end = args.findIndex((word) => word.startsWith('-'))
  const named = end === -1 ? args : args.slice(0, end)
  const name = [3, 2, 1]
    .map((length) => named.slice(0, length).join(' '))
    .find((words) => words in COMMANDS)
  if (name === undefined) {
    const isGroup = isProse && groupUsage(named.join(' ')) !== undefined
    return isGroup || named.length === 0 ? undefined : `no command ${named.join(' ')}`
  }
  try {
    const options = { ...COMMANDS[name]!.options, ...COMMON }
    parseArgs({ args: args.slice(name.split(' ').length), options, allowPositionals: true })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const NPM = new Set(['ci', 'init', 'install', 'pkg', 'publish', 'start', 'test'])

/** What is wrong with a command line of npm. Options of a script stand in the file that it runs. */
function problemOfNpm([verb, ...rest]: string[]): string | undefined {
  if (NPM.has(verb!)) return undefined
  const [name = '', ...args] = rest.filter((word) => word !== '-s')
  if (verb !== 'run' || !(name in scripts)) return `no script ${verb} ${name}`
  if (name === 'keyferry') return problemOfKeyferry(args.slice(1), true)
  const files = scripts[name]!.split(' ').filter((word) => /^(?!tools\/run)\S+\.ts$/.test(word))
  const source = files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('')
  const unknown = args
    .filter((word) => /^--\w/.test(word) && files.length > 0)
    .filter((word) => !source.includes(word.slice(2)))
  return unknown.length === 0 ? undefined : `no option ${unknown.join()}`
}

/** What is wrong with a command, or nothing. Words of the shell itself and of text are not looked at. */
function problemOf(words: string[], page: string, isProse = false): string | undefined {
  const [program = '', ...args] = words[0] === 'npx' ? words.slice(1) : words
  const name = `${page} ${program}`
  if (Object.values(NOT_HERE).flat().includes(name)) {
    called.add(name)
    return undefined
  }
  if (program === 'keyferry') return problemOfKeyferry(args, isProse)
  if (program === 'npm') return problemOfNpm(args)
  if (/^(.*\/)?(node|bash)$/.test(program)) {
    const [file] = args.filter((word) => !word.startsWith('-'))
    return existsSync(join(ROOT, file ?? '')) ? undefined : `no file ${file}`
  }
  if (words[0] === 'npx') return program in devDependencies ? undefined : `no program ${program}`
  return ['alias', 'cd', 'export', 'git', 'openssl'].includes(program) ? undefined : `${program} is not run by a test` // prettier-ignore
}

describe('commands', () => {
  it('of blocks are those of keyferry, of npm, or run by a test', () => {
    const problems = of('sh')
      .filter((block) => !isNotRun(block))
      .flatMap((block) =>
        commandsIn(block.code).flatMap((words) => {
          const isOurs = words.some((word) => word === 'keyferry' || word === 'npm')
          if (isElsewhere(block) && !isOurs) return []
          const problem = problemOf(words, block.page)
          return problem === undefined ? [] : [`${at(block)}: ${words.join(' ')}: ${problem}`]
        }),
      )
    expect(problems).toEqual([])
    expect([...called].toSorted()).toEqual(Object.values(NOT_HERE).flat().toSorted())
  })

  it('in the text are there, with their options', () => {
    const problems = [...PAGES].flatMap(([page, text]) =>
      spansIn(text)
        .filter((span) => /^(keyferry [a-z]|npm |npx keyferry )/.test(span))
        .flatMap((span) => {
          const words = commandsIn(span.replaceAll('…', ''))
          const problem = words.map((one) => problemOf(one, page, true)).find(Boolean)
          return problem === undefined ? [] : [`${page}: ${span}: ${problem}`]
        }),
    )
    expect(problems).toEqual([])
  })

  it('a wrong one is found', () => {
    const check = (line: string): (string | undefined)[] =>
      commandsIn(line).map((words) => problemOf(words, 'README.md'))
    expect(check('keyferry rotate notes && X=1 keyferry rotat "notes" # keyferry x')).toEqual([
      undefined,
      'no command rotat notes',
    ])
    expect(check('keyferry keyring create notes --colour red')[0]).toContain('--colour')
    expect(check('echo "$(keyferry audit verfy)" | npm run nothing')).toEqual([
      'no command audit verfy',
      'echo is not run by a test',
      'no script run nothing',
    ])
    expect(check('npm run bench -- --quik')).toEqual(['no option --quik'])
    expect(check('keyferry export > "a b" \\\n  --out x')[0]).toBe(undefined)
  })

  it('every script of npm is told of in a page', () => {
    const spans = [...PAGES.values()].flatMap(spansIn).join('\n')
    const told = of('sh').map(({ code }) => code).join('\n') + spans // prettier-ignore
    const untold = Object.keys(scripts).filter(
      (name) => !/^(pre|keyferry$)/.test(name) && !new RegExp(`npm (run )?${name}\\b`).test(told),
    )
    expect(untold).toEqual([])
  })
})
