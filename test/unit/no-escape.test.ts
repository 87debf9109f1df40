// W26: what a client is given to encrypt, and whatever comes from a relay, is bytes: no product code starts a process or evaluates text.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const ESCAPES =
  /child_process|worker_threads|node:vm|['"]vm['"]|\beval\(|\bFunction\(|\beval:|[^.]\bimport\((?!["']\.{1,2}\/)|innerHTML|document\.write/

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
        // The thread that wraps keys runs a file of the package, by its constant name.
        .replace(
          /import (\{ Worker \}|\{ parentPort, workerData \}) from 'node:worker_threads'/,
          '',
        )
        .replace(/import\(new URL\('\.\/bundle\.ts', import\.meta\.url\)\.href\)/, '')
    const escaping = found.filter((name) => ESCAPES.test(text(name)))
    expect(escaping.map((name) => name.slice(root.length))).toEqual([])
  },
)
