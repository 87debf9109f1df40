// W26: what a client is given to encrypt, and whatever comes from a relay, is bytes: no product code starts a process or evaluates text.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const ESCAPES =
  /child_process|worker_threads|node:vm|['"]vm['"]|\beval\(|\bFunction\(|\beval:|[^.]\bimport\((?!["']\.{1,2}\/)|innerHTML|document\.write/

const THREAD = new Map([
  ['deriver/wrap-thread.ts', "import { Worker } from 'node:worker_threads'"],
  ['deriver/wrap-worker.ts', "import { parentPort, workerData } from 'node:worker_threads'"],
])

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((name) => !/node_modules|dist|\.wrangler/.test(name.slice(root.length)))
}

it.each(['shared', 'web', 'worker', 'deriver'])(
  'W26 nothing in %s/ starts a process, evaluates text or writes into a page',
  (folder) => {
    const found = sources(folder)
    expect(found.length).toBeGreaterThan(15)
    // An optional package by its constant name, and the console's page by the names of its two files: what a bundle must not want to have.
    const text = (name: string): string =>
      readFileSync(name, 'utf8')
        .replace(/const name = 'pkcs11js'\n[^]{0,160}?import\(name\)/, '')
        .replace(
          /const built = new URL\('\.\/built-page\.js', import\.meta\.url\)\n[^]{0,160}?import\(built\.href\)/,
          '',
        )
        .replace(/import\(new URL\('\.\/bundle\.ts', import\.meta\.url\)\.href\)/, '')
    const escaping = found.filter((name) => ESCAPES.test(text(name)))
    const names = escaping.map((name) => name.slice(root.length))
    expect(names).toEqual(names.filter((name) => THREAD.has(name)))
  },
)

// Two files have a thread, for a file of the package by its constant name; nothing else that escapes is in them.
it.each([...THREAD])('W26 %s has the one thing that it is allowed', (name, allowed) => {
  const source = readFileSync(join(root, name), 'utf8')
  expect(source.split(allowed)).toHaveLength(2)
  expect(ESCAPES.test(source.replace(allowed, ''))).toBe(false)
})

it('W26 the thread runs what it is told by its own module', () => {
  const source = readFileSync(join(root, 'deriver/wrap-thread.ts'), 'utf8')
  expect(source.match(/new Worker\(/g)).toHaveLength(1)
  expect(source).toMatch(
    /const FILE = new URL\(\n[^]{0,80}'\.\/wrap-worker\.ts' : '\.\/wrap-worker\.js',\n  import\.meta\.url,\n\)/,
  )
})
