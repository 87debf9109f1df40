// Roots that the command line makes: under a name of their own, or not at all.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { keyFilePath } from '../../deriver/key-files.ts'
import { addRoot, listRoots } from '../../deriver/roots.ts'
import { writeKeyFile } from '../../deriver/secret.ts'
import { makeShares } from '../../deriver/shares.ts'
import { random } from '../../deriver/random.ts'
import { tenant, useTenant, codeOf } from '../lib/deriver.ts'
import { runCommand } from '../lib/in-process.ts'

useTenant()

const add = (name: string, place: string, generate = true) =>
  runCommand(tenant.directory, 'root add', { generate }, name, place)
const files = (): string[] => readdirSync(join(tenant.directory, 'keys'))

it('no root is in the file of another key', async () => {
  const before = files()
  for (const name of ['authority', 'authority-2', 'deriver', 'backup-key', 'ca-client-old', 'ca-x'])
    for (const generate of [true, false])
      expect([name, await codeOf(add('other', `file:${name}`, generate))]).toEqual([
        name,
        'ERR_USAGE',
      ])
  expect(files()).toEqual(before)
  expect(listRoots(tenant.store)).toHaveLength(1)
  await add('other', 'file:authority2')
  expect(listRoots(tenant.store)).toHaveLength(2)
})

it('a key that was made for a root that is not added does not stay, and one that was there does', async () => {
  const before = files()
  expect(await codeOf(add('main', 'file:extra'))).toBe('ERR_EXISTS')
  expect(files()).toEqual(before)
  // Somebody else adds a root of this name, or holds the database, while the key is made.
  tenant.store.run(
    "CREATE TRIGGER held BEFORE INSERT ON roots BEGIN SELECT raise(ABORT, 'held'); END",
  )
  await expect(add('other', 'file:extra')).rejects.toThrow('held')
  expect(files()).toEqual(before)
  tenant.store.run('DROP TRIGGER held')
  await add('other', 'file:extra')
  expect(await codeOf(add('third', 'file:extra'))).toBe('ERR_EXISTS')
  expect(existsSync(keyFilePath(tenant.directory, 'extra'))).toBe(true)
})

it('cards are not made over a root that an earlier version put where their key is', async () => {
  const { directory, store, trust, clock } = tenant
  const path = keyFilePath(directory, 'backup-key')
  writeKeyFile(path, random(32), 'master', null)
  addRoot(store, { name: 'old', place: 'file:backup-key', mark: random(32) }, clock.now)
  const before = readFileSync(path, 'utf8')
  const out = join(directory, 'cards')
  const set = { directory, passphrase: null, need: 2, holders: ['Ada', 'Bob'], out, replace: true }
  const make = makeShares(store, { ...set, tenant: trust.tenant, now: clock.now })
  expect(await codeOf(make)).toBe('ERR_IO')
  expect(readFileSync(path, 'utf8')).toBe(before)
  expect(existsSync(out)).toBe(false)
})
