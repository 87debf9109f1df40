/** Settings of the deriver: where they come from, and everything that is wrong with them at once. Also the rights on files with secrets. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, afterEach, describe, expect, it } from 'vitest'
import {
  requireSettings,
  resolveSettings,
  SETTINGS,
  variableOf,
} from '../../deriver/commands/settings.ts'
import { keyPath } from '../../deriver/key-files.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { isKeyferryError, type KeyferryError } from '../../shared/errors.ts'
import { makeTenant } from '../lib/tenant.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function write(value: unknown, mode = 0o600): string {
  const file = join(directory, 'keyferry.json')
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value), { mode })
  return file
}
const resolve = (flags = {}, environment = {}) => resolveSettings({ directory, flags, environment })
const pathsOf = ({ problems }: ReturnType<typeof resolve>): string[] =>
  problems.map(({ path }) => path.replace(`${directory}/`, ''))

function thrown(work: () => unknown): KeyferryError {
  try {
    work()
  } catch (error) {
    if (isKeyferryError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('settings', () => {
  it('are those of the command line before the environment before the file', () => {
    write({ heartbeat: '10m', lease: 20, instance: 'file', key: 'a.key', certificate: 'a.pem' })
    const environment = {
      KEYFERRY_LEASE: '30',
      KEYFERRY_INSTANCE: 'env',
      KEYFERRY_RELAYS: 'https://a.example,https://b.example',
    }
    const { settings, from, problems } = resolve({ instance: 'flag' }, environment)
    expect(problems).toEqual([])
    expect(settings).toEqual({
      heartbeat: 600,
      lease: 30,
      instance: 'flag',
      relays: ['https://a.example', 'https://b.example'],
      certificate: join(directory, 'a.pem'),
      key: join(directory, 'a.key'),
    })
    expect([from.instance, from.lease]).toEqual(['--instance', 'KEYFERRY_LEASE'])
  })

  it('need no file; one that is named has to be there', () => {
    expect(resolve()).toEqual({ settings: {}, from: {}, file: null, problems: [] })
    const named = resolveSettings({
      directory,
      flags: {},
      environment: {},
      file: join(directory, 'x.json'),
    })
    expect(pathsOf(named)).toEqual(['x.json'])
  })

  it('that are wrong are all told at once, each with its place', () => {
    write({
      relays: ['ftp://x'],
      heartbeat: 'soon',
      lease: 0,
      instance: 'a b',
      certificate: 'a.pem',
      console: '0.0.0.0:7070',
      consoleUrl: 'http://keys.acme.example',
      log: 'xml',
      passphrase: 'correct horse',
      colour: 'blue',
    })
    const found = resolve(
      { metrics: 'x' },
      { KEYFERRY_HEADLIFETIME: '1', KEYFERRY_HEAD_LIFETIME: '1s' },
    )
    expect(pathsOf(found)).toEqual([
      ...[
        'relays',
        'heartbeat',
        'lease',
        'instance',
        'consoleUrl',
        'log',
        'passphrase',
        'colour',
      ].map((name) => `keyferry.json: ${name}`),
      'KEYFERRY_HEAD_LIFETIME',
      '--metrics',
      'keyferry.json: certificate',
      'keyferry.json: console',
    ])
    // What is secret is in no message.
    expect(JSON.stringify(found)).not.toContain('correct horse')
    const error = thrown(() => requireSettings({ directory, flags: {}, environment: {} }))
    expect(error.code).toBe('ERR_CONFIG')
    expect(error.message.split('\n').length).toBe(10)
  })

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['too large', `"${'x'.repeat(70_000)}"`],
  ])('in a file that is %s are refused', (_, text) => {
    write(text)
    expect(pathsOf(resolve())).toEqual(['keyferry.json'])
  })

  it.skipIf(process.platform === 'win32')('with an invite are not for others to read', () => {
    write({ invite: 'CODE' }, 0o644)
    expect(pathsOf(resolve())).toEqual(['keyferry.json: invite'])
    chmodSync(join(directory, 'keyferry.json'), 0o600)
    expect(resolve().settings).toEqual({ invite: 'CODE' })
  })

  it('are all in docs/deriver.md', () => {
    const page = readFileSync(new URL('../../docs/deriver.md', import.meta.url), 'utf8')
    const rows = [...page.matchAll(/^\| `(\w+)` +\| `--([\w-]+)` +\| `(\w+)` +\|/gm)]
    expect(rows.map(([, name, flag, variable]) => [name, flag, variable])).toEqual(
      Object.entries(SETTINGS).map(([name, { flag }]) => [name, flag, variableOf(name as 'log')]),
    )
  })
})

describe.skipIf(process.platform === 'win32')('files with secrets', () => {
  it.each([0o640, 0o604, 0o620])(
    'that others can read or change (%o) are refused, with what helps',
    async (mode) => {
      const tenant = await makeTenant()
      try {
        tenant.store.close()
        for (const [file, open] of [
          [storePath(tenant.directory), () => openStore(storePath(tenant.directory))],
          [
            keyPath(tenant.directory, 'master'),
            () => readKeyFile(keyPath(tenant.directory, 'master'), 'master', null),
          ],
        ] as const) {
          chmodSync(file, mode)
          const error = thrown(open)
          expect([error.code, error.hint]).toEqual(['ERR_PERMISSIONS', `chmod 600 ${file}`])
          chmodSync(file, 0o600)
        }
        tenant.store = openStore(storePath(tenant.directory))
      } finally {
        tenant.remove()
      }
    },
  )
})
