/** What an enrolment backend holds: the client-issuing CA and its tables, and nothing of the deriver's. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { issueClient, issueRoleCrl, renewRoleCrl } from '../../deriver/ca.ts'
import { openClientCa, type ClientCa } from '../../deriver/client-ca.ts'
import { parsedCrls } from '../../deriver/crls.ts'
import { isDenied } from '../../deriver/devices.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { caStorePath, openStore, storePath } from '../../deriver/store.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { decodePem } from '../../shared/pem.ts'
import { validatePath } from '../../shared/path.ts'
import { generateSigningKey, keyId, type SigningKey } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { ask, codeOf, maintenance, members, tenant, useTenant } from '../lib/deriver.ts'
import { makeBackend, makeCa, newKey } from '../lib/enrolment.ts'
import { makeClient, makePackage } from '../lib/tenant.ts'

const URI = 'keyferry://client.acme.example/ada'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

useTenant()

let directory: string
let ca: ClientCa | undefined
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => {
  ca?.close()
  ca = undefined
  rmSync(directory, { recursive: true, force: true })
})

const now = (): number => tenant.clock.now

async function newRequest(): Promise<{ key: SigningKey; csr: Bytes }> {
  const key = await generateSigningKey('ES256', false)
  return { key, csr: await createCsr(key, 'ada') }
}

/** A directory with the CA's key file alone, and the tables if they are shared. */
function backend(withTables: boolean): string {
  mkdirSync(join(directory, 'keys'))
  cpSync(join(tenant.directory, 'keys/ca-client.json'), join(directory, 'keys/ca-client.json'))
  if (withTables) {
    // Folded into the file, as a copy of a live database has to be.
    tenant.store.all('PRAGMA ca.wal_checkpoint(TRUNCATE)')
    cpSync(caStorePath(tenant.directory), caStorePath(directory))
  }
  return directory
}

async function open(where: string, deny?: string): Promise<ClientCa> {
  ca = await openClientCa({
    directory: where,
    passphrase: null,
    now,
    ...(deny === undefined ? {} : { deny }),
  })
  return ca
}

describe('the client CA', () => {
  it('issues what is valid under the trust document, from two files alone', async () => {
    const { key, csr } = await newRequest()
    const opened = await open(backend(false))
    const certificates = decodePem(
      await opened.issue({ csr, uri: URI, lifetime: 600 }),
      'CERTIFICATE',
    )
    const path = await validatePath({
      certificates,
      anchors: tenant.trust.body.clients.anchors,
      now: now(),
      eku: [CLIENT_AUTH],
      crls: parsedCrls(tenant.store),
    })
    expect([path.uri, hex(path.spki)]).toEqual([URI, hex(key.spki)])
    expect(path.notAfter).toBe(now() + 600)
    expect(existsSync(storePath(directory))).toBe(false)
    expect(statSync(caStorePath(directory)).mode & 0o777).toBe(0o600)
  })

  it('names no URI outside its constraint, and takes no broken request', async () => {
    const opened = await open(backend(false))
    const { csr } = await newRequest()
    for (const uri of [
      'keyferry://deriver.acme.example/deriver-1',
      'keyferry://client.evil.example/a',
    ])
      expect(await codeOf(opened.issue({ csr, uri }))).toBe('ERR_PATH_INVALID')
    expect(
      await codeOf(opened.issue({ csr: csr.with(csr.length - 1, csr.at(-1)! ^ 1), uri: URI })),
    ).toBe('ERR_SIGNATURE')
    expect(await opened.keysOf(URI)).toEqual([])
  })

  it('knows every key that a URI ever had, newest first, each once', async () => {
    const opened = await open(tenant.directory)
    const [one, two] = [await newRequest(), await newRequest()]
    await opened.issue({ csr: one.csr, uri: URI, lifetime: 1_000 })
    tenant.clock.now += 10
    await opened.issue({ csr: two.csr, uri: URI, lifetime: 100 })
    await opened.issue({ csr: two.csr, uri: URI, lifetime: 200 })
    await opened.issue({ csr: two.csr, uri: `${URI}/other` })
    expect(await opened.keysOf(URI)).toEqual([
      {
        keyId: await keyId(two.key.spki),
        spki: two.key.spki,
        notAfter: now() + 200,
        isRevoked: false,
      },
      {
        keyId: await keyId(one.key.spki),
        spki: one.key.spki,
        notAfter: now() + 990,
        isRevoked: false,
      },
    ])
    tenant.clock.now += 201
    expect((await opened.keysOf(URI)).map(({ spki }) => hex(spki))).toEqual([
      hex(two.key.spki),
      hex(one.key.spki),
    ])
  })

  it('lets only one key be the first', async () => {
    const opened = await open(tenant.directory)
    const [one, two] = [await newRequest(), await newRequest()]
    await opened.issue({ csr: one.csr, uri: URI, isFirst: true })
    expect(await codeOf(opened.issue({ csr: two.csr, uri: URI, isFirst: true }))).toBe(
      'ERR_CONFLICT',
    )
    await opened.issue({ csr: one.csr, uri: URI, isFirst: true })
    await opened.issue({ csr: two.csr, uri: URI, isFirst: false })
    expect((await opened.keysOf(URI)).length).toBe(2)
  })

  it('shares its tables with the deriver: a revoked key gets nothing more, and its serial is listed', async () => {
    const opened = await open(tenant.directory)
    const { csr, key } = await newRequest()
    const [der] = decodePem(await opened.issue({ csr, uri: URI }), 'CERTIFICATE')
    expect(revokeClient(tenant.store, URI, now())).toMatchObject({ certificates: 1, keys: 1 })
    expect(isDenied(tenant.store, await keyId(key.spki))).toBe(true)
    expect(await opened.keysOf(URI)).toMatchObject([{ isRevoked: true }])
    expect(await codeOf(opened.issue({ csr, uri: URI }))).toBe('ERR_DENIED')
    expect(await renewRoleCrl(tenant.store, tenant.clients, 'client', now())).toBe(true)
    expect(await renewRoleCrl(tenant.store, tenant.clients, 'client', now())).toBe(false)
    const serial = hex(parseCertificate(der!).serial)
    expect(parsedCrls(tenant.store).some((crl) => crl.revoked.has(serial))).toBe(true)
  })

  it('is the CA of an enrolment handler: first key, known key, further key, revoked key', async () => {
    const opened = await open(tenant.directory)
    const app = makeBackend(await makeCa('client', now()), now(), { ca: opened })
    const [first, second] = [await newKey(), await newKey()]
    const { json } = await app.post('kim', first)
    const certificates = decodePem(json['certificates']!, 'CERTIFICATE')
    const anchors = [tenant.clients.certificate]
    const crls = parsedCrls(tenant.store)
    const rules = { anchors, crls, now: now(), eku: [CLIENT_AUTH] }
    const path = await validatePath({ certificates, ...rules })
    expect([path.uri, path.spki]).toEqual([app.sessions['kim']!.uri, first.spki])
    expect((await app.post('kim', first)).code).toBe('ok')
    expect((await app.post('kim', second)).code).toBe('ERR_NEW_KEY')
    expect((await app.post('kim', second, { by: first })).code).toBe('ok')
    revokeClient(tenant.store, path.uri, now())
    expect((await app.post('kim', first)).code).toBe('ERR_DENIED')
    // Nobody is the first again.
    expect((await app.post('kim', await newKey())).code).toBe('ERR_NEW_KEY')
  })

  it('on another host, refuses who stands in the deny list, and everyone when it cannot be read', async () => {
    const list = join(directory, 'denied')
    writeFileSync(list, '')
    const opened = await open(backend(false), list)
    const { csr, key } = await newRequest()
    await opened.issue({ csr, uri: URI })
    writeFileSync(list, `${'00'.repeat(32)}\n${hex(await keyId(key.spki))}\n`)
    expect(await codeOf(opened.issue({ csr, uri: URI }))).toBe('ERR_DENIED')
    expect(await opened.keysOf(URI)).toMatchObject([{ isRevoked: true }])
    for (const bad of ['not a key id\n', 'x'.repeat(1_048_577)]) {
      writeFileSync(list, bad)
      expect(await codeOf(opened.issue({ csr, uri: URI }))).toBe('ERR_IO')
    }
    rmSync(list)
    expect(await codeOf(opened.issue({ csr, uri: URI }))).toBe('ERR_IO')
  })

  it('what another host issued is listed and denied once the deriver has seen it', async () => {
    const opened = await open(backend(false))
    const { csr, key } = await newRequest()
    const certificates = decodePem(await opened.issue({ csr, uri: URI }), 'CERTIFICATE')
    const client = { key, certificates, uri: URI }
    await ask({ ...client, ...(await makePackage(tenant, client, 1)) })
    expect(members()).toEqual([URI])
    expect(revokeClient(tenant.store, URI, now())).toMatchObject({ certificates: 1, keys: 1 })
    await maintenance()(now())
    expect(members()).toEqual([])
    const serial = hex(parseCertificate(certificates[0]!).serial)
    expect(parsedCrls(tenant.store).some((crl) => crl.revoked.has(serial))).toBe(true)
  })
})

describe('the tables', () => {
  /** A copy of the tenant's database, with the tables of the CA or as an older version had them: in the deriver's own file. */
  function copy(isOld: boolean): string {
    backend(true)
    tenant.store.all('PRAGMA main.wal_checkpoint(TRUNCATE)')
    const path = storePath(directory)
    cpSync(storePath(tenant.directory), path)
    if (!isOld) return path
    const db = new DatabaseSync(path)
    db.prepare('ATTACH DATABASE ? AS ca').run(caStorePath(directory))
    db.exec(`
      CREATE TABLE main.issued (
        serial TEXT PRIMARY KEY, role TEXT NOT NULL, uri TEXT NOT NULL, key_id BLOB NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE main.denied (key_id BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO main.issued SELECT serial, role, uri, key_id, not_after, revoked FROM ca.issued;
      INSERT INTO main.denied SELECT * FROM ca.denied;
      ${['crl_history', 'roots', 'imports', 'exports', 'held', 'destructions', 'rekeys', 'pending', 'lease', 'conditions', 'heard', 'console_access'].map((name) => `DROP TABLE main.${name};`).join('')}
      ${['policy', 'approvals', 'rules_checked', 'rotate_at'].map((name) => `ALTER TABLE main.keyrings DROP COLUMN ${name};`).join('')}
      ${['root', 'sealed', 'committed', 'bundled', 'activated'].map((name) => `ALTER TABLE main.versions DROP COLUMN ${name};`).join('')}
      ALTER TABLE main.generations DROP COLUMN root;
      ALTER TABLE main.relays DROP COLUMN reached;
      ${['root', 'public_key'].map((name) => `ALTER TABLE main.devices DROP COLUMN ${name};`).join('')}
      DELETE FROM main.meta WHERE name = 'root';
      PRAGMA main.user_version = 3;
    `)
    db.close()
    rmSync(caStorePath(directory))
    return path
  }

  it('move out of an older database with every row, and the CRL goes on', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    revokeClient(tenant.store, ada.uri, now())
    const store = openStore(copy(true))
    try {
      expect(isDenied(store, await keyId(ada.key.spki))).toBe(true)
      const own = "SELECT 1 FROM main.sqlite_schema WHERE name IN ('issued', 'denied')"
      expect(store.get(own)).toBe(undefined)
      await issueRoleCrl(store, tenant.clients, 'client', now())
      const listed = parsedCrls(store).flatMap((crl) => [...crl.revoked])
      expect(listed).toEqual([hex(parseCertificate(ada.certificates[0]!).serial)])
      // A key that was not kept is known by its id, and verifies nothing.
      const opened = await open(directory)
      expect(await opened.keysOf(ben.uri)).toEqual([
        {
          keyId: await keyId(ben.key.spki),
          spki: new Uint8Array(),
          notAfter: now() + 30 * 86_400,
          isRevoked: false,
        },
      ])
      await issueClient(store, tenant.clients, await createCsr(ben.key, 'ben'), ben.uri, now())
      const spkis = (await opened.keysOf(ben.uri)).map(({ spki }) => hex(spki))
      expect(spkis).toEqual([hex(ben.key.spki)])
    } finally {
      store.close()
    }
  })

  it('are never made anew for a deriver that has denied somebody', () => {
    const path = copy(false)
    openStore(path).close()
    rmSync(caStorePath(directory))
    expect(() => openStore(path)).toThrow(expect.objectContaining({ code: 'ERR_IO' }) as Error)
    writeFileSync(caStorePath(directory), '')
    expect(() => openStore(path)).toThrow(expect.objectContaining({ code: 'ERR_STATE' }) as Error)
  })
})
