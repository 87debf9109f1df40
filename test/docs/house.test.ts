/** CONTRIBUTING.md against the repository: its commands, its folders, the first lines of files and their lengths. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const page = readFileSync('CONTRIBUTING.md', 'utf8')
/** What .gitignore leaves out, at the top. */
const MADE = ['node_modules', 'dist', 'coverage', 'test-results', 'bench', 'keyferry']
const top = readdirSync('.', { withFileTypes: true })
  .filter((one) => one.isDirectory() && !one.name.startsWith('.') && !MADE.includes(one.name))
  .map(({ name }) => name)
const files = top
  .flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  )
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => /\.(ts|tsx|mjs|py|css)$/.test(name))
  .filter((name) => !/node_modules|^docs\/api\/|^test\/bench\/results\//.test(name))

/** First cells of a table, by its first heading. */
function column(heading: string): string[] {
  const table = new RegExp(`^\\| ${heading} .*\\n\\|[- |]+\\n((?:\\|.*\\n)+)`, 'm').exec(page)![1]!
  return [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell!)
}

it('its table has every script of package.json, and no other', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>
  }
  const own = Object.keys(scripts).filter((name) => !name.startsWith('pre'))
  const named = column('command').map((command) => command.replace(/^npm (run )?/, ''))
  expect(named.toSorted()).toEqual(own.toSorted())
})

it('its table has every folder of source, of tools and of tests', () => {
  const below = ['tools', 'test'].flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((one) => one.isDirectory())
      .map(({ name }) => `${folder}/${name}`),
  )
  expect(new Set(column('folder'))).toEqual(new Set([...top, ...below]))
})

it('every file of source says first what it is', () => {
  const source = files.filter((name) =>
    /^(shared|deriver|worker|web|selfhost|demo|tools)\/|^test\/lib\//.test(name),
  )
  expect(source.length).toBeGreaterThan(300)
  const bare = source.filter((name) => !/^(#!.*\n)?\s*(\/\*|\/\/)/.test(readFileSync(name, 'utf8')))
  expect(bare).toEqual([])
})

/** Why a file is longer than others: 300 lines of source, 400 of tests. */
const LONG: Record<string, string> = {
  'deriver/audit-entries.ts': 'every kind of entry, each held against what the others said',
  'deriver/service.ts': 'the order of all that a deriver does',
  'deriver/store.ts': 'every table, beside the numbers that are allocated in it',
  'web/agent.ts': 'one loop, and who waits for it',
  'web/keyring.ts': 'what an app calls, one method each',
  'web/session.ts': 'three changes of one state under one lock',
  'worker/tenant.ts': 'one Durable Object: its methods are the transactions',
  'test/hostile/attacks/distribution.ts': 'a list of attacks',
  'test/lib/path-cases.ts': 'a list of certification paths',
  'test/unit/audit.test.ts': 'a log of every kind, bent in every way',
  'test/unit/backup.test.ts': 'one backup, opened, bent and restored in every way',
  'test/unit/byok.test.ts': 'one flow for each key service',
  'test/unit/sender.test.ts': 'senders in all forms of messages',
}

it('a long file has a reason', () => {
  const most = (name: string): number => (name.startsWith('test/') ? 400 : 300)
  const lines = (name: string): number => readFileSync(name, 'utf8').split('\n').length - 1
  const long = files.filter((name) => lines(name) > most(name))
  expect(long.toSorted()).toEqual(Object.keys(LONG).toSorted())
})
