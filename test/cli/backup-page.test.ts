/**
 * The blocks of docs/backup.md, as they stand there, in their order, on one tenant with a real relay. With SLOW=1: some forty commands, each a process; what they do is
 * tested beside it, in test/unit/backup.test.ts, test/unit/backup-commands.test.ts and test/e2e/restored-machine.test.ts.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Result } from '../lib/cli.ts'
import { SLOW } from '../lib/commands.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const page = readFileSync(new URL('../../docs/backup.md', import.meta.url), 'utf8')
const blocks = new Map(
  [...page.matchAll(/^## (.+)\n[^#]*?```sh\n([^`]*)```/gm)].map(
    ([, title, code]) => [title!, code!] as const,
  ),
)
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname

let directory: string
let relay: RelayProcess
const path = (name: string): string => join(directory, name)

beforeAll(async () => {
  if (!SLOW) return
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(path('relay'), 'invite')
  mkdirSync(path('bin'))
  // A service is asked for one step.
  writeFileSync(
    path('bin/keyferry'),
    `#!/bin/sh\nif [ "$*" = run ]; then set -- run --once; fi\nexec '${process.execPath}' '${cli}' "$@"\n`,
  )
  chmodSync(path('bin/keyferry'), 0o755)
  const { status, stderr } = await sh(`
keyferry init --org Acme --domain acme.example --relay "$RELAY" --unsealed
keyferry keyring create notes
keyferry keyring create mail --kind erasable
keyferry run --once --invite "$INVITE"`)
  expect(status, stderr).toBe(0)
})
afterAll(async () => {
  await relay?.stop()
  if (SLOW) rmSync(directory, { recursive: true, force: true })
})

/** Runs a script with `keyferry` on its path. */
function sh(code: string, more: Record<string, string> = {}): Promise<Result> {
  const env = {
    ...process.env,
    KEYFERRY_DIR: path('tenant'),
    RELAY: relay.url,
    INVITE: 'invite',
    PATH: `${path('bin')}${delimiter}${process.env['PATH']}`,
    ...more,
  }
  return new Promise((resolve) => {
    const options = { cwd: directory, env }
    const child = execFile('sh', ['-ec', code], options, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    )
    child.stdin?.end()
  })
}

const slow = it.skipIf(!SLOW)

async function block(title: string, more: Record<string, string> = {}): Promise<string> {
  const { status, stdout, stderr } = await sh(blocks.get(title)!, more)
  expect(status, stdout + stderr).toBe(0)
  return stdout
}

slow('The ceremony: cards, a backup, and a drill that opens it', async () => {
  // Holders take their cards away before the folder is deleted.
  const code = blocks.get('The ceremony')!.replace('rm -r cards', 'cp cards/*.txt . && rm -r cards')
  const { status, stdout, stderr } = await sh(code)
  expect(status, stderr).toBe(0)
  expect(stdout).toContain('2 reproduced, 0 not signed yet, 0 destroyed, 0 WRONG')
  expect(readFileSync(path('card-2.txt'), 'utf8')).toContain('holder  Bob')
  expect(existsSync(path('cards'))).toBe(false)
})

slow('Every night: another backup, and what it says of itself', async () => {
  expect(await block('Every night')).toMatch(/opened by 2 cards of set [a-z2-7]{13}\n$/)
})

slow('Every quarter: cards as files, and typed', async () => {
  const output = await block('Every quarter')
  expect(JSON.parse(output.trim().split('\n').at(-1)!)).toMatchObject({
    isGood: true,
    checked: [{ keyring: 'notes', version: 1, result: 'reproduced' }],
  })
  const typed = (files: string, as: string) =>
    sh(`cat ${files} | grep '^[1-5]' | ${as} | keyferry drill acme.keyferry notes@1`)
  expect(await typed('card-3.txt card-2.txt', `tr a-z A-Z`)).toMatchObject({ status: 0 })
  const wrong = await typed('card-3.txt card-2.txt', `sed '8s/\\(..\\)$/99/'`)
  expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('line 3 of the card')])
  expect((await typed('card-3.txt', 'cat')).stderr).toContain('ERR_INCOMPLETE')
})

slow('The machine is gone: a new one goes on', async () => {
  const { status } = await sh('keyferry rotate notes && keyferry run --once')
  expect(status).toBe(0)
  renameSync(path('tenant'), path('lost'))
  const output = await block('The machine is gone')
  expect(output).toContain('notes: notes@1.2 was made since the backup, and derived again')
  expect(output).toContain('nothing was changed: --accept takes it in')
  expect(output).toContain('taken in\n')
  renameSync(path('keyferry'), path('tenant'))
  const shown = await sh('keyferry keyring show notes --json')
  expect(JSON.parse(shown.stdout)).toMatchObject({
    versions: [{ version: 1 }, { version: 2 }, { version: 3, state: 'active' }],
  })
  const lost = await sh('keyferry run --once', { KEYFERRY_DIR: path('lost') })
  expect([lost.status, lost.stdout]).toEqual([1, expect.any(String)])
  expect(lost.stderr).toContain('ERR_ROLLBACK')
})

slow('A relay is gone: it is the same again', async () => {
  const { port } = relay
  await relay.stop()
  rmSync(path('relay'), { recursive: true })
  relay = await spawnRelay(path('relay'), 'invite', port)
  const output = await block('A relay is gone')
  expect(output).toContain('all of it verifies')
})

slow(
  '[restore-2] catch-up does not take the silence of a relay for an answer, unless it is told to',
  async () => {
    cpSync(path('acme.keyferry'), path('copy.keyferry'))
    const again = { KEYFERRY_DIR: path('again') }
    const cards = '--share card-1.txt --share card-2.txt'
    expect(await sh(`keyferry restore copy.keyferry ${cards}`, again)).toMatchObject({ status: 0 })
    const silent = await sh('keyferry catch-up --accept --relay http://127.0.0.1:9', again)
    expect(silent.status).toBe(3)
    expect(silent.stdout).toContain('could not be asked: http://127.0.0.1:9')
    expect((await sh('keyferry run --once', again)).stderr).toContain('keyferry catch-up')
    const alone = await sh('keyferry catch-up --accept --without-relays', again)
    expect([alone.status, alone.stdout]).toEqual([
      0,
      expect.stringContaining('nothing is known of the time since the backup'),
    ])
    expect((await sh('keyferry run --once', again)).stderr).toContain('--raise-incarnation')
  },
)

it('has a test for every block', () => {
  expect([...blocks.keys()]).toEqual([
    'The ceremony',
    'Every night',
    'Every quarter',
    'The machine is gone',
    'A relay is gone',
  ])
})
