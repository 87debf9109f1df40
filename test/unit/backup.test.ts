/** Backups: whole or not at all, opened by the right cards or passphrase alone, and nothing secret beside them. */
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, it } from 'vitest'
import { makeBackup } from '../../deriver/backup.ts'
import { openBackup, writeBackup } from '../../deriver/backup-file.ts'
import { listAccess, makeToken } from '../../deriver/console/access.ts'
import { createLease, readWriter } from '../../deriver/lease.ts'
import { drill } from '../../deriver/drill.ts'
import { placeOf } from '../../deriver/process-place.ts'
import { openKeyBytes, readKeyFile, sealKeyFile, writeKeyFile } from '../../deriver/secret.ts'
import { keyPath } from '../../deriver/key-files.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { rotateKeyring } from '../../deriver/versions.ts'
import { openLog } from '../../deriver/log.ts'
import { backupKey, type Opener } from '../../deriver/open-backup.ts'
import { publish } from '../../deriver/publish.ts'
import { restoreBackup } from '../../deriver/restore.ts'
import { parseCard } from '../../deriver/share-card.ts'
import { makeShares } from '../../deriver/shares.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { encodeJson } from '../../shared/json.ts'
import { codeOf, notes, tenant, useTenant } from '../lib/deriver.ts'
import { initAcme } from '../lib/init-acme.ts'

useTenant()

const path = (name: string): string => join(tenant.directory, name)
let cards: Opener

async function head(): Promise<void> {
  const { store, keys, trust, clock } = tenant
  await publish(store, keys, trust, openLog(store), clock.now, 3_600)
}

async function shares(out: string, replace = false): Promise<Opener> {
  const { directory, store, trust, clock } = tenant
  const holders = ['Ada', 'Bob', 'Kim']
  const options = { directory, passphrase: null, need: 2, holders, tenant: trust.tenant }
  await makeShares(store, { ...options, out: path(out), replace, now: clock.now })
  const read = (n: number) => parseCard(readFileSync(path(`${out}/card-${n}.txt`), 'utf8'))
  return { shares: [read(1), read(3)] }
}

/** Makes a backup that cards open, or this passphrase. */
async function backup(name = 'one.keyferry', sealWith: string | null = null): Promise<string> {
  const { directory, store, clock } = tenant
  const options = { directory, passphrase: null, sealWith, path: path(name), now: clock.now }
  await makeBackup(store, options)
  return path(name)
}

const drilled = (file: string, opener: Opener, names: string[] = []) =>
  drill(file, opener, { directory: tenant.directory, names })

const restored = (file: string, opener: Opener, more = {}) =>
  restoreBackup({
    path: file,
    directory: path('restored'),
    opener,
    seal: () => Promise.resolve('new'),
    now: tenant.clock.now,
    ...more,
  })

beforeEach(async () => {
  const rules = ['keyferry://client.acme.example/*']
  createKeyring(tenant.store, { name: 'mail', kind: 'erasable', rules }, tenant.clock.now)
  await head()
  cards = await shares('cards')
})

describe('a backup', () => {
  it('says what it holds, and gives every key again', async () => {
    rotateKeyring(tenant.store, 'mail', tenant.clock.now)
    await head()
    orderDestruction(tenant.store, ['mail@1'], 0, tenant.clock.now)
    const file = await backup()
    const { header, versions } = await drilled(file, cards)
    expect(header).toMatchObject({
      tenant: tenant.trust.tenant,
      incarnation: 1,
      trust: 1,
      made: tenant.clock.now,
    })
    expect(header.head.version).toBe(2)
    expect(header.roots).toEqual([{ name: 'main', place: 'file:master' }])
    expect(versions.map(({ keyring, version, result }) => [keyring, version, result])).toEqual([
      ['mail', 1, 'destroyed'],
      ['mail', 2, 'reproduced'],
      ['notes', 1, 'reproduced'],
    ])
    expect((await drilled(file, cards, ['mail@2', 'notes@1.1'])).versions).toHaveLength(2)
    expect(await codeOf(drilled(file, cards, ['mail@9']))).toBe('ERR_NOT_FOUND')
  })

  it('lets nobody into the console who was let in when it was made, and nobody holds its lease', async () => {
    const { store, clock } = tenant
    makeToken(store, 'graphs', 'token', 86_400, clock.now)
    createLease(store, 'deriver-1').take()
    await head()
    await restored(await backup(), cards)
    const other = openStore(storePath(path('restored')))
    expect(listAccess(other, clock.now)).toEqual([])
    expect(readWriter(other)).toBeNull()
    other.close()
    expect(listAccess(store, clock.now)).toHaveLength(1)
  })

  it('is opened by its passphrase alone, where that sealed it', async () => {
    const file = await backup('two.keyferry', 'correct horse')
    expect((await drilled(file, { passphrase: 'correct horse' })).versions).toHaveLength(2)
    expect(await codeOf(drilled(file, { passphrase: 'correct house' }))).toBe('ERR_PASSPHRASE')
    expect(await codeOf(drilled(file, cards))).toBe('ERR_USAGE')
    expect(await codeOf(drilled(await backup(), { passphrase: 'correct horse' }))).toBe('ERR_USAGE')
  })

  it('is opened by the cards of its own set alone: by no other, not by one, not by made-up ones', async () => {
    const file = await backup()
    const [one, other] = (cards as { shares: [never, never] }).shares as [
      { value: Bytes },
      { value: Bytes },
    ]
    const newer = await shares('others', true)
    expect(await codeOf(drilled(file, newer))).toBe('ERR_DOCUMENT_MISMATCH')
    expect(await codeOf(drilled(file, { shares: [one] as never }))).toBe('ERR_INCOMPLETE')
    const forged = { ...other, value: other.value.map((byte) => byte ^ 1) }
    expect(await codeOf(drilled(file, { shares: [one, forged] as never }))).toBe('ERR_OPEN')
    // The cards of before open it for good, and none of the backups after.
    expect((await drilled(file, cards)).versions).toHaveLength(2)
    expect(await codeOf(drilled(await backup('later.keyferry'), cards))).toBe(
      'ERR_DOCUMENT_MISMATCH',
    )
  })

  it('is made again by no second set without being asked, and needs a set', async () => {
    expect(await codeOf(shares('more'))).toBe('ERR_EXISTS')
    expect(existsSync(path('more'))).toBe(false)
    expect(await codeOf(shares('cards', true))).toBe('ERR_EXISTS')
    const file = await backup()
    const all = readFileSync(file)
    expect(await codeOf(backup())).toBe('ERR_EXISTS')
    expect(readFileSync(file).equals(all)).toBe(true)
  })

  it('opens nowhere once any part of it was changed, cut off or added to', async () => {
    const file = await backup()
    const whole = readFileSync(file)
    const size = whole.length
    const copy = path('changed')
    // Two places in the header, then salt, commitment, first and last chunk.
    const salt = 22 + whole.readUInt32BE(18)
    for (const at of [40, 400, salt, salt + 24, salt + 55, salt + 56, size - 20_000, size - 1]) {
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 1
      writeFileSync(copy, bytes)
      expect([at, await codeOf(drilled(copy, cards))]).toEqual([
        at,
        expect.stringMatching(
          /^ERR_(OPEN|MALFORMED|SCHEMA|NOT_CANONICAL|INCOMPLETE|DOCUMENT_MISMATCH|TENANT)$/,
        ),
      ])
    }
    for (const length of [0, 10, 30, 2_000, size - 16_400, size - 1]) {
      copyFileSync(file, copy)
      truncateSync(copy, length)
      expect([length, await codeOf(drilled(copy, cards))]).toEqual([length, 'ERR_INCOMPLETE'])
      expect([length, await codeOf(restored(copy, cards))]).toEqual([length, 'ERR_INCOMPLETE'])
    }
    writeFileSync(copy, Buffer.concat([whole, Buffer.alloc(1)]))
    expect(await codeOf(drilled(copy, cards))).toBe('ERR_MALFORMED')
    writeFileSync(copy, 'SQLite format 3, and no backup')
    expect(await codeOf(drilled(copy, cards))).toBe('ERR_MALFORMED')
    expect(await codeOf(drilled(path('absent'), cards))).toBe('ERR_IO')
  })

  it('is not made of a damaged database, nor of a log that is another one, nor with a clock that was set back', async () => {
    const { store, clock } = tenant
    clock.now -= 3_600
    expect(await codeOf(backup())).toBe('ERR_CLOCK')
    clock.now += 3_600
    store.run('UPDATE log SET leaf = ? WHERE seq = 2', new Uint8Array([1]))
    expect(await codeOf(backup())).toBe('ERR_STATE')
    // A page of the middle of the file, overwritten as a bad disk does.
    store.run('PRAGMA wal_checkpoint(TRUNCATE)')
    store.close()
    const db = storePath(tenant.directory)
    const bytes = readFileSync(db)
    bytes.fill(0xaa, 4 * 4_096, 12 * 4_096)
    writeFileSync(db, bytes)
    tenant.store = openStore(db)
    expect(await codeOf(backup())).toBe('ERR_STATE')
    expect(readdirSync(tenant.directory).filter((name) => /backup|keyferry$/.test(name))).toEqual(
      [],
    )
  })

  it('is not made with a key file of a name that its header cannot have: it could not be opened', async () => {
    const odd = path('keys/authority_2.json')
    writeKeyFile(odd, new Uint8Array(32), 'authority', null)
    expect(await codeOf(backup())).toBe('ERR_STATE')
    expect(existsSync(path('one.keyferry'))).toBe(false)
    rmSync(odd)
    expect(await codeOf(backup())).toBe('none')
  })

  it('leaves nothing where the disk is full, or the folder is not there', async () => {
    expect(await codeOf(backup('nowhere/one.keyferry'))).toBe('ERR_IO')
    const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
    const own = path('own')
    await initAcme(own, [])
    const command = ['backup', path('full'), '--by', 'passphrase', '--dir', own]
    const env = { ...process.env, KEYFERRY_PASSPHRASE: 'correct horse' }
    // Blocks of 512 bytes: not enough for the copy of the database, and enough for that and not for the backup.
    for (const blocks of [100, 320]) {
      const script = `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$@"`
      const args = ['-c', script, process.execPath, cli, ...command]
      const said = await new Promise<string>((resolve) => {
        const child = execFile('sh', args, { env }, (_error, _out, err) =>
          resolve(`${child.exitCode} ${err}`),
        )
      })
      expect([blocks, said]).toEqual([blocks, expect.stringMatching(/^3 .*ERR_IO/s)])
    }
    expect(existsSync(path('full'))).toBe(false)
    expect(readdirSync(own).filter((name) => name.startsWith('.backup'))).toEqual([])
  })

  it('erases the copies that a killed one left', async () => {
    const [machine, , start] = JSON.parse(placeOf(process.pid)) as [string, number, string]
    const leave = (name: string, owner: unknown, age = 0): string => {
      const left = path(`.backup-${name}`)
      mkdirSync(left)
      writeFileSync(join(left, 'deriver.db'), 'salts')
      if (owner !== null) writeFileSync(join(left, 'owner'), JSON.stringify(owner))
      const time = Date.now() / 1000 - age
      utimesSync(left, time, time)
      return left
    }
    const ended = leave('ended', [machine, 2 ** 22 + 1, '1'])
    // A number of this machine says nothing of a process in another container.
    const elsewhere = leave('elsewhere', ['another container', 2 ** 22 + 1, '1'])
    const old = leave('old', ['another container', 2 ** 22 + 1, '1'], 90_000)
    const running = leave('running', [machine, process.pid, start])
    const unnamed = leave('4711', null)
    // As one is seen that goes away between two looks: another backup ended.
    symlinkSync(path('nowhere'), path('.backup-gone'))
    await backup()
    const all = [ended, old, elsewhere, running, unnamed]
    expect(all.map((one) => existsSync(one))).toEqual([false, false, true, true, true])
  })

  it('that asks for gigabytes of Argon2id is not tried: nothing of it is authentic yet', async () => {
    const { header } = openBackup(await backup('sealed.keyferry', 'words'))
    const { sealing } = header
    for (const costs of [
      { memory: 4_194_304 },
      { passes: 1_000 },
      { memory: 262_145 },
      { passes: 13 },
    ]) {
      const asking = { ...header, sealing: { ...sealing, ...costs } }
      expect(await codeOf(backupKey(asking, { passphrase: 'words' })), JSON.stringify(costs)).toBe(
        'ERR_TOO_LARGE',
      )
    }
    const most = { ...header, sealing: { ...sealing, memory: 131_072, passes: 4 } }
    expect(await backupKey(most, { passphrase: 'words' })).toHaveLength(32)
    // The same for a key file.
    const file = { ...sealKeyFile(new Uint8Array(32), 'master', 'words'), memory: 4_194_304 }
    expect(() => openKeyBytes('master.json', encodeJson(file), 'words')).toThrow('4096 MiB')
  })
})

describe('a restore', () => {
  it('gives the same keys and databases, readable by their owner alone', async () => {
    writeFileSync(path('keyferry.json'), '{"heartbeat":"5m"}')
    const file = await backup()
    await restored(file, cards)
    for (const name of ['keyferry.json', 'ca-root.pem'])
      expect(readFileSync(path(`restored/${name}`))).toEqual(readFileSync(path(name)))
    for (const name of ['deriver.db', 'ca.db', 'keys/master.json', 'keys/authority.json'])
      expect([name, statSync(path(`restored/${name}`)).mode & 0o777]).toEqual([name, 0o600])
    for (const name of ['master', 'authority'] as const)
      expect(readKeyFile(keyPath(path('restored'), name), name, null)).toEqual(
        readKeyFile(keyPath(tenant.directory, name), name, null),
      )
    const store = openStore(storePath(path('restored')))
    expect(store.all('SELECT * FROM versions')).toEqual(tenant.store.all('SELECT * FROM versions'))
    expect(store.get('SELECT leaf FROM log ORDER BY seq DESC LIMIT 1')).toMatchObject({
      leaf: expect.objectContaining({}) as unknown,
    })
    store.close()
  })

  it('seals the key files that were sealed by the passphrase of then; the old one opens none', async () => {
    const { directory, store, clock } = tenant
    const master = keyPath(directory, 'master')
    const secret = readKeyFile(master, 'master', null)
    rmSync(master)
    writeKeyFile(master, secret, 'master', 'old')
    const options = { directory, sealWith: null, path: path('one.keyferry'), now: clock.now }
    expect(await codeOf(makeBackup(store, { ...options, passphrase: 'wrong' }))).toBe(
      'ERR_PASSPHRASE',
    )
    await makeBackup(store, { ...options, passphrase: 'old' })
    await restored(options.path, cards)
    const there = keyPath(path('restored'), 'master')
    expect(readKeyFile(there, 'master', 'new')).toEqual(secret)
    expect(() => readKeyFile(there, 'master', 'old')).toThrow('passphrase')
    // What was not sealed is not.
    expect(readKeyFile(keyPath(path('restored'), 'authority'), 'authority', null)).toBeDefined()
  })

  it('goes into an empty directory only, and leaves one that it could not fill as it was', async () => {
    const file = await backup()
    expect(await codeOf(restored(file, cards, { directory: tenant.directory }))).toBe('ERR_EXISTS')
    mkdirSync(path('restored'))
    const wrong = { passphrase: 'x' }
    expect(await codeOf(restored(await backup('p', 'pw'), wrong))).toBe('ERR_PASSPHRASE')
    expect(await codeOf(restored(file, cards, { tenant: 'a'.repeat(52) }))).toBe('ERR_TENANT')
    expect(await codeOf(restored(file, cards, { now: tenant.clock.now - 301 }))).toBe('ERR_CLOCK')
    expect(readdirSync(path('restored'))).toEqual([])
    // Two machines' clocks are never the same.
    await restored(file, cards, { now: tenant.clock.now - 60 })
  })

  it('refuses a backup whose header says another state than its database has, though it opens', async () => {
    const file = openBackup(await backup())
    const { header } = file
    const key = await backupKey(header, cards)
    for (const [said, code] of [
      [{ tenant: 'a'.repeat(52) }, 'ERR_TENANT'],
      [{ incarnation: 2 }, 'ERR_STATE'],
      [{ head: { ...header.head, version: 9 } }, 'ERR_STATE'],
      [{ log: { ...header.log, size: header.log.size + 1 } }, 'ERR_STATE'],
      [{ log: { ...header.log, root: new Uint8Array(32) } }, 'ERR_STATE'],
    ] as const) {
      const copy = path('copy')
      await writeBackup(copy, key, { ...header, ...said }, file.read(key), () => {})
      expect([said, await codeOf(restored(copy, cards))]).toEqual([said, code])
      rmSync(copy)
    }
    file.close()
  })

  it('refuses a master secret that is not the one of the signed keys, and a database of another state', async () => {
    // Whoever has the cards and makes a backup up: the mark of the root, or the key ids, give it away.
    const { store } = tenant
    store.run('UPDATE versions SET nonce = ? WHERE keyring = ?', new Uint8Array(16), notes)
    const file = await backup()
    expect(
      (await drilled(file, cards)).versions.find(({ keyring }) => keyring === 'notes'),
    ).toMatchObject({ result: 'wrong' })
    expect(await codeOf(restored(file, cards))).toBe('ERR_ROOT_KEY')
    expect(existsSync(path('restored'))).toBe(false)
    store.run('UPDATE roots SET mark = ?', new Uint8Array(32))
    expect(await codeOf(backup('two.keyferry'))).toBe('ERR_ROOT_KEY')
  })
})

it('a drill writes nothing and shows nothing, and neither a backup nor a restore leaves a secret where it was not', async () => {
  const file = await backup()
  const { store, directory } = tenant
  const secrets = [
    readKeyFile(keyPath(directory, 'master'), 'master', null),
    ...store
      .all<{ salt: Bytes }>("SELECT salt FROM versions WHERE salt <> X''")
      .map(({ salt }) => salt),
    ...store.all<{ salt: Bytes }>('SELECT salt FROM generations').map(({ salt }) => salt),
  ]
  const files = (): string[] =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name))
      .toSorted()
  const before = files()
  const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
  const at = (n: number) => ['--share', path(`cards/card-${n}.txt`)]
  const args = [cli, 'drill', file, ...at(1), ...at(2), '--json', '--dir', directory]
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, (_error, out, err) => resolve(out + err))
  })
  expect(JSON.parse(output)).toMatchObject({ isGood: true })
  expect(files()).toEqual(before)
  const looked = [
    ...before.filter((name) => /keyferry$|card-/.test(name)).map((name) => readFileSync(name)),
    Buffer.from(output),
  ]
  expect(looked).toHaveLength(8)
  for (const secret of secrets)
    for (const form of [
      Buffer.from(secret),
      ...(['hex', 'base64', 'base64url'] as const).map((as) =>
        Buffer.from(Buffer.from(secret).toString(as)),
      ),
    ])
      expect(looked.some((one) => one.includes(form))).toBe(false)
  // It is the search that finds nothing: the database has the salts.
  const db = new DatabaseSync(storePath(directory), { readOnly: true })
  expect(
    db.prepare('SELECT count(*) AS n FROM generations WHERE salt = ?').get(secrets.at(-1)!),
  ).toEqual({ n: 1 })
  db.close()
})
