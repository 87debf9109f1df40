/** The blocks of docs/trust.md, as they stand there, each on a tenant of its own. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { issueDeriver } from '../../deriver/ca.ts'
import { readCa } from '../../deriver/key-files.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { initAcme } from '../lib/init-acme.ts'

const page = readFileSync(new URL('../../docs/trust.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/## (.+)\n[^#]*?```sh\n([^`]*)```/g)].map(([, title, code]) => ({
  title: title!,
  code: code!,
}))
const first = { title: 'the beginning', code: /```sh\n([^`]*)```/.exec(page)![1]! }
const PASSPHRASE = 'correct horse'
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname

async function makeTenant(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const tenant = join(directory, 'tenant')
  const now = Math.floor(Date.now() / 1000)
  await initAcme(tenant, ['http://127.0.0.1:9'], { passphrase: PASSPHRASE, now })
  // The deriver has run before.
  const store = openStore(storePath(tenant))
  const issuer = await readCa(tenant, 'ca-deriver', PASSPHRASE)
  await issueDeriver(store, issuer, 'keyferry://deriver.acme.example/deriver-1', now)
  store.close()
  const command = join(directory, 'keyferry')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`)
  chmodSync(command, 0o755)
  return directory
}

function run(code: string, directory: string): Promise<{ status: number; output: string }> {
  const env = {
    ...process.env,
    KEYFERRY_DIR: join(directory, 'tenant'),
    KEYFERRY_PASSPHRASE: PASSPHRASE,
    PATH: `${directory}${delimiter}${process.env['PATH']}`,
  }
  return new Promise((resolve) => {
    const child = execFile('sh', ['-ec', code], { cwd: directory, env }, (_error, out, err) =>
      resolve({ status: child.exitCode ?? -1, output: out + err }),
    )
  })
}

describe('docs/trust.md', () => {
  it.each([first, ...blocks])('$title: its commands do what they say', async ({ code }) => {
    const directory = await makeTenant()
    const { status, output } = await run(code, directory)
    expect(status, output).toBe(0)
    const store = openStore(storePath(join(directory, 'tenant')))
    onTestFinished(() => store.close())
    expect((await newestTrust(store)).body.number).toBe(2)
  })

  it('has every block that it is to have', () => {
    expect(blocks.map(({ title }) => title)).toEqual([
      'Another authority key, or one replaced',
      'A stolen deriver key',
    ])
  })
})
