// Several roots, roots that have to be asked, and places of roots. What is behind a place is tested in pkcs11.test.ts and kms.test.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeMaster, readCredential, readVariable } from '../../deriver/given-secret.ts'
import { importKey } from '../../deriver/import-key.ts'
import { addVersion, rotateKeyring, type VersionRow } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { createMaintenance } from '../../deriver/maintain.ts'
import { currentKek, renewGeneration } from '../../deriver/members.ts'
import { formatPkcs11, parsePlace, type Pkcs11Place } from '../../deriver/place.ts'
import { publish } from '../../deriver/publish.ts'
import { random } from '../../deriver/random.ts'
import { createRoot, holdRoots, memoryKey, type MacKey, type Root } from '../../deriver/root.ts'
import {
  addRoot,
  markOf,
  openRoots,
  presentRoot,
  removeRoot,
  useOf,
  useRoot,
} from '../../deriver/roots.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { rootInput } from '../../shared/kdf.ts'
import { ask, codeOf, notes, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

/** A root that has to be asked, over a key in memory: counts, and fails on demand. */
function asked(master: Bytes): MacKey & { count: number; fails: boolean } {
  const inner = memoryKey(master)
  const key = {
    count: 0,
    fails: false,
    mac: async (input: Bytes): Promise<Bytes> => {
      // Nobody else may be kept from the store meanwhile.
      tenant.store.transaction(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (key.fails) throw new TypeError('away')
      key.count++
      return inner.mac(input)
    },
  }
  return key
}

const publishNow = () =>
  publish(tenant.store, tenant.keys, tenant.trust, emptyLog(), tenant.clock.now, 3_600)
const rows = () => tenant.store.all<VersionRow>('SELECT * FROM versions ORDER BY version')

describe('a root that has to be asked', () => {
  const master = new Uint8Array(32).fill(5)

  it('makes the same keys as one in memory, and is asked once for each', async () => {
    const key = asked(master)
    tenant.keys.root = holdRoots(new Map([[1, key]]))
    await ask(await makeClient(tenant, 'alice'))
    await ask(await makeClient(tenant, 'bob'))
    await publishNow()
    // Two channels, one key-encryption key, one version.
    expect(key.count).toBe(4)
    const id = hex(rows()[0]!.key_id!)
    const kek = (root: Root): string =>
      hex(currentKek(tenant.store, { root, tenant: tenant.trust.tenant }, notes))
    expect(kek(tenant.keys.root)).toBe(kek(createRoot(master)))
    tenant.keys.root = createRoot(master)
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    tenant.store.run('UPDATE versions SET key_id = NULL')
    await publishNow()
    expect(hex(rows()[0]!.key_id!)).toBe(id)
  })

  it('a new generation keeps the salt that was drawn, and costs one question and no more', async () => {
    const key = asked(master)
    const root = holdRoots(new Map([[1, key]]))
    tenant.keys.root = root
    await ask(await makeClient(tenant, 'alice'))
    const before = key.count
    const deriving = { root, tenant: tenant.trust.tenant }
    const left = await root.transaction(tenant.store, () =>
      renewGeneration(tenant.store, deriving, notes, tenant.clock.now, () => true),
    )
    expect([left, key.count - before]).toEqual([0, 1])
    const salts = tenant.store
      .all<{ salt: Bytes }>('SELECT salt FROM generations')
      .map(({ salt }) => hex(salt))
    expect(new Set(salts).size).toBe(2)
  })

  it('that fails leaves nothing behind, and the next attempt goes on', async () => {
    const key = asked(master)
    tenant.keys.root = holdRoots(new Map([[1, key]]))
    await publishNow()
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    key.fails = true
    await expect(publishNow()).rejects.toThrow('away')
    expect(rows().map((row) => row.key_id === null)).toEqual([false, true])
    key.fails = false
    await publishNow()
    expect(rows().every((row) => row.key_id !== null)).toBe(true)
  })

  it('that cannot be asked, because a file is missing, is a failure of the root', async () => {
    const missing = new KeyferryError('ERR_IO', 'no token', { hint: 'write it' })
    tenant.keys.root = holdRoots(new Map([[1, { mac: () => Promise.reject(missing) }]]))
    expect(await codeOf(publishNow())).toBe('ERR_ROOT')
    // A request is not to be blamed for it, and stays in the mailbox.
    expect(await codeOf(ask(await makeClient(tenant, 'alice')))).toBe('ERR_ROOT')
  })

  it('work that fails by itself fails, also after it asked', async () => {
    const root = holdRoots(new Map([[1, asked(master)]]))
    const work = (): void => {
      root.mac(rootInput(random(32)))
      throw new RangeError('by itself')
    }
    await expect(root.transaction(tenant.store, work)).rejects.toThrow('by itself')
    expect(() => root.mac(rootInput(random(32)))).toThrow(TypeError)
  })

  it('what was drawn in vain is drawn again, and otherwise nothing is drawn twice', async () => {
    const root = holdRoots(new Map([[1, asked(master)]]))
    const seen: string[] = []
    const made = await root.transaction(tenant.store, () => {
      const first = random(32)
      seen.push(hex(first))
      root.mac(rootInput(first))
      return [first, random(32)].map(hex)
    })
    expect(new Set(seen).size).toBe(1)
    expect(seen.length).toBe(2)
    expect(made[0]).toBe(seen[0])
    expect(made[1]).not.toBe(made[0])
    expect(hex(random(32))).not.toBe(made[0])
  })
})

describe('several roots', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keyferry-roots-'))
    process.env['CREDENTIALS_DIRECTORY'] = directory
    writeFileSync(join(directory, 'master'), `${'ab'.repeat(32)}\n`)
  })
  afterEach(() => {
    delete process.env['CREDENTIALS_DIRECTORY']
    rmSync(directory, { recursive: true })
  })

  const opening = () => ({ directory: tenant.directory, passphrase: null })
  const opened = () => openRoots(tenant.store, tenant.trust.tenant, opening())
  const now = (): number => tenant.clock.now

  async function add(): Promise<void> {
    const mark = await markOf(memoryKey(new Uint8Array(32).fill(0xab)), tenant.trust.tenant)
    addRoot(tenant.store, { name: 'second', place: 'credential:master', mark }, now())
  }

  it('versions of the old one stay derivable while everything new comes from the new one', async () => {
    const roots = await opened()
    const { root } = roots
    tenant.keys.root = root
    await ask(await makeClient(tenant, 'alice'))
    await publishNow()
    const [first] = rows()
    await add()
    await roots.refresh()
    useRoot(tenant.store, 'second', now())
    const maintain = createMaintenance(
      tenant.store,
      { root, tenant: tenant.trust.tenant },
      {},
      () => {},
    )
    await maintain(now(), tenant.trust)
    await publishNow()
    expect(rows().map((row) => row.root)).toEqual([1, 2])
    expect(hex(rows()[0]!.key_id!)).toBe(hex(first!.key_id!))
    expect(useOf(tenant.store, 1, now())).toEqual({ versions: 1, generations: 0, devices: 1 })
    expect(useOf(tenant.store, 2, now())).toEqual({ versions: 1, generations: 1, devices: 0 })
    // As after a restart: the old version's key id is computed under its own root.
    const again = await opened()
    tenant.keys.root = again.root
    tenant.store.run('UPDATE versions SET key_id = NULL')
    tenant.store.run('UPDATE keyrings SET dirty = 1')
    await publishNow()
    expect(hex(rows()[0]!.key_id!)).toBe(hex(first!.key_id!))
    // A second look changes nothing more.
    const { n } = tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM generations')!
    await maintain(now(), tenant.trust)
    expect(tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM generations')!.n).toBe(n)
  })

  it('a root is removed when nothing comes from it, and not before', async () => {
    await add()
    await expectCode(() => removeRoot(tenant.store, 'main', now()), 'ERR_CONFLICT')
    useRoot(tenant.store, 'second', now())
    await expectCode(() => removeRoot(tenant.store, 'main', now()), 'ERR_CONFLICT')
    await expectCode(() => removeRoot(tenant.store, 'second', now()), 'ERR_CONFLICT')
    const { root } = await opened()
    await createMaintenance(tenant.store, { root, tenant: tenant.trust.tenant }, {}, () => {})(
      now(),
      tenant.trust,
    )
    // What is not published yet is still to be derived.
    await expectCode(() => removeRoot(tenant.store, 'main', now()), 'ERR_CONFLICT')
    tenant.keys.root = root
    await publishNow()
    tenant.store.run('UPDATE versions SET decrypt_until = 1 WHERE root = 1')
    removeRoot(tenant.store, 'main', now())
    expect(presentRoot(tenant.store)).toBe(2)
    await expectCode(() => removeRoot(tenant.store, 'main', now()), 'ERR_NOT_FOUND')
  })

  it('after a restart without the removed root, keyrings that had versions of it are published', async () => {
    const before = await opened()
    tenant.keys.root = before.root
    await publishNow()
    const [first] = rows()
    await add()
    await before.refresh()
    useRoot(tenant.store, 'second', now())
    await createMaintenance(
      tenant.store,
      { root: before.root, tenant: tenant.trust.tenant },
      {},
      () => {},
    )(now(), tenant.trust)
    await publishNow()
    tenant.store.run(
      'UPDATE versions SET encrypt_from = 0, encrypt_until = 1, decrypt_until = 1 WHERE root = 1',
    )
    removeRoot(tenant.store, 'main', now())
    tenant.keys.root = (await opened()).root
    rotateKeyring(tenant.store, 'notes', now())
    await publishNow()
    expect(rows().map((row) => row.root)).toEqual([1, 2, 2])
    expect(hex(rows()[0]!.key_id!)).toBe(hex(first!.key_id!))
  })

  it('the number of a removed root is not given to another one: whoever runs has its key', async () => {
    const running = await opened()
    await add()
    await running.refresh()
    removeRoot(tenant.store, 'second', now())
    writeFileSync(join(directory, 'master'), 'cd'.repeat(32))
    const mark = await markOf(memoryKey(new Uint8Array(32).fill(0xcd)), tenant.trust.tenant)
    addRoot(tenant.store, { name: 'third', place: 'credential:master', mark }, now())
    await running.refresh()
    useRoot(tenant.store, 'third', now())
    tenant.keys.root = running.root
    await publishNow()
    const made = rows().at(-1)!
    tenant.keys.root = (await opened()).root
    tenant.store.run('UPDATE versions SET key_id = NULL')
    tenant.store.run('UPDATE keyrings SET dirty = 1')
    await publishNow()
    expect(hex(rows().at(-1)!.key_id!)).toBe(hex(made.key_id!))
  })

  it('a key that was replaced is known by its mark, and nothing is derived from it', async () => {
    await add()
    await opened()
    writeFileSync(join(directory, 'master'), 'cd'.repeat(32))
    // Nothing comes from it yet: a deriver may start, and is told.
    const roots = await opened()
    expect(await codeOf(roots.refresh())).toBe('ERR_ROOT_KEY')
    expect(await codeOf(roots.root.ask(new Uint8Array(1), 2))).toBe('ERR_ROOT_KEY')
    useRoot(tenant.store, 'second', now())
    expect(await codeOf(opened())).toBe('ERR_ROOT_KEY')
  })

  it('an import that two people confirm goes on where another root was taken into use between them', async () => {
    await add()
    const { root } = await opened()
    const deriving = { root, tenant: tenant.trust.tenant }
    const rules = ['keyferry://client.acme.example/*']
    const bytes = new Uint8Array(32).fill(7)
    const say = (by: string, more = {}) =>
      importKey(tenant.store, deriving, { name: 'archive', rules, bytes, by, ...more }, now())
    expect(await say('ada')).toMatchObject({ state: 'waiting' })
    // One that is not open here does not keep them from it.
    const mark = new Uint8Array(32)
    addRoot(tenant.store, { name: 'away', place: 'credential:away', mark }, now())
    useRoot(tenant.store, 'second', now())
    expect(await codeOf(say('bob', { bytes: new Uint8Array(32).fill(8) }))).toBe('ERR_COMMITMENT')
    expect(await codeOf(say('ada'))).toBe('ERR_CONFLICT')
    expect(await say('bob')).toMatchObject({ state: 'imported', by: ['ada', 'bob'] })
  })

  it('the same key or name is not added twice, and a root that is missing is a named error', async () => {
    await add()
    expect(await codeOf(add())).toBe('ERR_EXISTS')
    tenant.keys.root = (await opened()).root
    tenant.store.transaction(() => {
      tenant.store.set('root', 9)
      addVersion(tenant.store, notes, now())
    })
    expect(await codeOf(publishNow())).toBe('ERR_ROOT_KEY')
  })

  it('the log tells of each', async () => {
    await add()
    useRoot(tenant.store, 'second', now())
    const events = tenant.store
      .all<{ leaf: Bytes }>('SELECT leaf FROM log')
      .map(({ leaf }) => new TextDecoder().decode(leaf))
    expect(events.filter((leaf) => leaf.includes('"event":"root-'))).toHaveLength(2)
    expect(events.join()).not.toContain('ab'.repeat(16))
  })
})

describe('secrets that the machine hands over', () => {
  it('a credential is a file of $CREDENTIALS_DIRECTORY, a variable one of the environment', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyferry-credentials-'))
    try {
      writeFileSync(join(directory, 'master'), `${'01'.repeat(32)}\n`)
      const environment = { CREDENTIALS_DIRECTORY: directory }
      expect(hex(decodeMaster(readCredential('master', environment), 'x'))).toBe('01'.repeat(32))
      await expectCode(() => readCredential('other', environment), 'ERR_IO')
      await expectCode(() => readCredential('master', {}), 'ERR_IO')
      writeFileSync(join(directory, 'master'), 'x'.repeat(20_000))
      await expectCode(() => readCredential('master', environment), 'ERR_TOO_LARGE')
      expect(readVariable('MASTER', { MASTER: 'x' })).toBe('x')
      await expectCode(() => readVariable('MASTER', {}), 'ERR_IO')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('32 bytes in hex or base64, and nothing else; what was there is not told', async () => {
    const bytes = Buffer.alloc(32, 0xfb)
    for (const encoding of ['hex', 'base64', 'base64url'] as const)
      expect(hex(decodeMaster(bytes.toString(encoding), 'x'))).toBe('fb'.repeat(32))
    for (const text of [
      '',
      'ab'.repeat(31),
      'ab'.repeat(33),
      'correct horse battery staple, over and over',
    ]) {
      await expectCode(() => decodeMaster(text, 'x'), 'ERR_ROOT_KEY')
      if (text !== '') expect(() => decodeMaster(text, 'x')).not.toThrow(text)
    }
  })
})

describe('places', () => {
  const P11 = 'pkcs11:token=a%20b;object=m?module-path=/m.so&pin-source='

  it('an HSM is named as RFC 7512 does it', () => {
    const place = parsePlace(`${P11}file:/etc/pin`)
    expect(place).toEqual({
      kind: 'pkcs11',
      token: 'a b',
      object: 'm',
      module: '/m.so',
      pin: { file: '/etc/pin' },
    })
    expect(parsePlace(formatPkcs11(place as Pkcs11Place))).toEqual(place)
    expect(parsePlace(`${P11}credential:pin`)).toMatchObject({ pin: { credential: 'pin' } })
  })

  it.each([
    '',
    'x',
    'http://x',
    'file:../x',
    'file:',
    'env:path/x',
    'credential:a/b',
    `${P11}file:/pin&pin-value=1234`,
    `${P11}1234`,
    `${P11}file:pin`,
    'pkcs11:token=a;object=m?module-path=/m.so',
    'pkcs11:token=a?module-path=/m.so&pin-source=file:/p',
    'pkcs11:token=a;token=b;object=m?module-path=/m.so&pin-source=file:/p',
    'pkcs11:token=%zz;object=m?module-path=/m.so&pin-source=file:/p',
    'pkcs11:token=a;object=m?module-path=m.so&pin-source=file:/p',
    'aws-kms:key',
    'aws-kms:a key?region=eu-central-1',
    'aws-kms:key?region=eu-central-1&endpoint=http://example.com',
    'aws-kms:key?region=eu-central-1&endpoint=https://u:p@example.com',
    'gcp-kms:projects/p/locations/l/keyRings/r/cryptoKeys/k',
    'vault:key',
    'vault:a/b?address=https://vault.example',
    'vault:key?address=https://vault.example&key-version=0',
    'vault:key?address=https://vault.example&mount=../sys',
    'vault:key?address=https://vault.example&token=hvs.x',
  ])('%s is ERR_USAGE', async (text) => {
    await expectCode(() => parsePlace(text), 'ERR_USAGE')
  })
})
