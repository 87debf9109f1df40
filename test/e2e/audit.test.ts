/** The log against a real relay in workerd: what a database that was restored or edited says, and what the relay kept of it. The command line as a process. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { createKeyring, openDeriver, rotateKeyring, type Deriver } from '../../deriver/index.ts'
import { exportKey, readAuthorityKeys, readCa } from '../../deriver/key-files.ts'
import { emptyLog } from '../../deriver/log.ts'
import { latestHead } from '../../deriver/heads.ts'
import { currentCrls, publish } from '../../deriver/publish.ts'
import { createRoot } from '../../deriver/root.ts'
import { issueDeriver } from '../../deriver/ca.ts'
import { type ServiceEvent } from '../../deriver/service.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)

/** Milliseconds: commands are processes, one after another. */
const LONG = 240_000

let directory: string
let tenant: string
let relay: RelayProcess
let keyferry: (...args: string[]) => Promise<Result>
let id: string

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  tenant = join(directory, 'tenant')
  relay = await spawnRelay(join(directory, 'relay'), 'invite')
  id = await initAcme(tenant, [relay.url])
  keyferry = keyferryIn(tenant)
  await during(async (deriver) => {
    const { store } = deriver
    createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
    await deriver.step()
  })
})
afterEach(async () => {
  await relay.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function during(
  work: (deriver: Deriver) => Promise<unknown>,
  report: (event: ServiceEvent) => void = () => {},
): Promise<void> {
  const options = { directory: tenant, passphrase: null, invite: 'invite', report }
  const deriver = await openDeriver(options)
  try {
    await work(deriver)
  } finally {
    deriver.close()
  }
}

const rotateAndPush = () =>
  during(async (deriver) => {
    const { store } = deriver
    rotateKeyring(store, 'notes', now())
    await deriver.step()
  })

async function withStore<T>(work: (store: Store) => T | Promise<T>): Promise<T> {
  const store = openStore(storePath(tenant))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

const headCount = () =>
  withStore((store) => store.get<{ n: number }>('SELECT count(*) AS n FROM heads')!.n)

/** The directory as it is now, to be put back later. */
function backUp(): () => void {
  const copy = join(directory, 'backup')
  cpSync(tenant, copy, { recursive: true })
  return () => {
    rmSync(tenant, { recursive: true })
    cpSync(copy, tenant, { recursive: true })
  }
}

/** The next trust document, with a raised incarnation. */
const raise = (lowestCrls: { issuer: Uint8Array<ArrayBuffer>; number: number }[]) =>
  during(async (deriver) => {
    const { store } = deriver
    const current = await newestTrust(store)
    const { number, incarnation } = current.body
    const next = {
      ...current.body,
      incarnation: incarnation + 1,
      lowestCrls,
      number: number + 1,
      previous: current.hash,
      tenant: current.tenant,
    }
    const [authority] = await readAuthorityKeys(tenant, null)
    await publishTrust(store, await signDraft(makeDraft(next, current), authority!, current), now())
    await deriver.step()
  })

it(
  'finds a database that was restored without a new incarnation, and proves what it then signs',
  async () => {
    await rotateAndPush()
    const well = await spawnKeyferryIn(tenant)('audit', 'verify')
    expect([well.status, well.stdout]).toEqual([
      0,
      expect.stringContaining(`${relay.url}: 2 heads`),
    ])
    const putBack = backUp()
    await rotateAndPush()
    await rotateAndPush()
    const lists = await withStore((store) =>
      currentCrls(store).map(({ issuer, number }) => ({ issuer, number })),
    )
    putBack()

    const found = await keyferry('audit', 'verify', '--json')
    expect(found.status).toBe(1)
    const { problems } = JSON.parse(found.stdout) as { problems: string[] }
    expect(problems).toEqual([
      expect.stringMatching(/^head 1\.\d+ of http.* entries, and the log has \d+$/),
      expect.stringMatching(/^head 1\.\d+ of http/),
    ])
    // The deriver asks at its start, and signs nothing.
    const before = await headCount()
    await during(async (deriver) => {
      await expect(deriver.step()).rejects.toMatchObject({ code: 'ERR_ROLLBACK' })
      await expect(deriver.step()).rejects.toMatchObject({ code: 'ERR_ROLLBACK' })
    })
    expect(await headCount()).toBe(before)
    const run = await spawnKeyferryIn(tenant)('run', '--once')
    expect([run.status, run.stderr]).toEqual([1, expect.stringContaining('ERR_ROLLBACK')])

    // An older program would have signed: then the two heads are evidence.
    const backup = join(directory, 'backup')
    await withStore(async (store) => {
      rotateKeyring(store, 'notes', now())
      const derivers = await readCa(tenant, 'ca-deriver', null)
      const signer = await issueDeriver(store, derivers, 'keyferry://deriver.acme.example/x', now())
      const keys = {
        root: createRoot(new Uint8Array(32)),
        authority: await readAuthorityKeys(tenant, null),
        signer,
      }
      await publish(store, keys, await newestTrust(store), emptyLog(), now(), 3_600)
    })
    const file = join(directory, 'restored.evidence')
    const signed = await keyferry('audit', 'verify', '--evidence', file)
    expect([signed.status, signed.stdout]).toEqual([1, expect.stringContaining('evidence: ')])
    const proven = await keyferry('inspect', file, '--tenant', id)
    expect([proven.status, proven.stdout]).toEqual([0, expect.stringMatching(/^proven: /)])

    // The way back.
    rmSync(tenant, { recursive: true })
    cpSync(backup, tenant, { recursive: true })
    await raise(lists)
    const again = await keyferry('audit', 'verify')
    expect([again.status, again.stdout]).toEqual([
      0,
      expect.stringContaining('lost before the incarnation'),
    ])
    await rotateAndPush()
    expect((await keyferry('audit', 'verify')).status).toBe(0)
  },
  LONG,
)

it(
  'finds an entry that was edited, also where the heads of the database went with it',
  async () => {
    await rotateAndPush()
    await withStore((store) => {
      store.run('UPDATE log SET leaf = (SELECT leaf FROM log WHERE seq = 4) WHERE seq = 3')
    })
    const own = await keyferry('audit', 'verify', '--offline')
    expect([own.status, own.stdout]).toEqual([1, expect.stringContaining('shows another log of')])
    await expect(during((deriver) => deriver.step())).rejects.toMatchObject({ code: 'ERR_STATE' })
    await withStore((store) => {
      store.run('DELETE FROM heads')
    })
    const left = await keyferry('audit', 'verify', '--offline')
    expect(left.stdout).not.toContain('shows another log of')
    const kept = await keyferry('audit', 'verify')
    expect([kept.status, kept.stdout]).toEqual([1, expect.stringContaining('shows another log of')])
    // The relay has what the database says that nobody signed.
    await expect(during((deriver) => deriver.step())).rejects.toMatchObject({
      code: 'ERR_ROLLBACK',
    })
  },
  LONG,
)

it(
  '[deriver-7] a restored database signs nothing more once a relay answers that was kept away when it started',
  async () => {
    const restore = backUp()
    await rotateAndPush()
    restore()
    const { port } = relay
    await relay.kill()
    await during(async (deriver) => {
      await deriver.step()
      relay = await spawnRelay(join(directory, 'relay'), 'invite', port)
      const heads = await headCount()
      await expect(deriver.step()).rejects.toMatchObject({
        code: 'ERR_ROLLBACK',
        hint: expect.stringContaining('trust propose --raise-incarnation') as string,
      })
      expect(await headCount()).toBe(heads)
    })
  },
  LONG,
)

it(
  '[deriver-7] a database replaces no head of its incarnation that another one signed while it was cut off, and signs nothing more',
  async () => {
    const copy = join(directory, 'copy')
    cpSync(tenant, copy, { recursive: true })
    const { port } = relay
    const relayDown = async (work: () => Promise<void>): Promise<void> => {
      await relay.kill()
      await work()
      relay = await spawnRelay(join(directory, 'relay'), 'invite', port)
    }
    const rotate = (deriver: Deriver): void => {
      rotateKeyring(deriver.store, 'notes', now())
    }
    const reports: ServiceEvent[] = []
    await during(
      async (deriver) => {
        await deriver.step()
        const other = await openDeriver({ directory: copy, passphrase: null })
        rotate(other)
        await other.step()
        const theirs = latestHead(other.store)!
        other.close()
        await relayDown(async () => {
          rotate(deriver)
          await deriver.step()
        })
        // By its number the next one could follow.
        rotate(deriver)
        await deriver.step()
        expect(latestHead(deriver.store)!.version).toBe(theirs.version + 1)
        const last = reports.at(-1)!
        expect(last).toMatchObject({ type: 'relay-error', code: 'ERR_CONFLICT' })
        rotate(deriver)
        await expect(deriver.step()).rejects.toMatchObject({ code: 'ERR_ROLLBACK' })
        expect(latestHead(deriver.store)!.version).toBe(theirs.version + 1)
      },
      (report) => reports.push(report),
    )
    // All that the relay keeps is of the other one.
    const kept = await keyferryIn(copy)('audit', 'verify')
    expect([kept.status, kept.stdout]).toEqual([0, expect.stringContaining(': 2 heads')])
  },
  LONG,
)

it(
  'is checked by an auditor with a client’s certificate and an export; without the relay that is not known',
  async () => {
    const file = join(directory, 'acme.audit')
    expect(await keyferry('audit', 'export', '--out', file)).toMatchObject({ status: 0 })
    const key = await generateSigningKey('Ed25519', true)
    const pem = await withStore(async (store) => {
      const clients = await readCa(tenant, 'ca-client', null)
      const csr = await createCsr(key, 'auditor')
      const uri = 'keyferry://client.acme.example/auditor'
      return encodePem('CERTIFICATE', await issueClient(store, clients, csr, uri, now()))
    })
    writeFileSync(join(directory, 'auditor.pem'), pem)
    writeFileSync(join(directory, 'auditor.key'), encodePem('PRIVATE KEY', await exportKey(key)))
    // Nobody's directory: an auditor has none.
    const auditor = keyferryIn(join(directory, 'nothing'))
    const verify = (...more: string[]) => auditor('audit', 'verify', file, '--tenant', id, ...more)
    expect(await verify()).toMatchObject({ status: 0 })
    const identity = [
      '--key',
      join(directory, 'auditor.key'),
      '--certificate',
      join(directory, 'auditor.pem'),
    ]
    const asked = await verify('--relay', relay.url, ...identity)
    expect([asked.status, asked.stdout]).toEqual([
      0,
      expect.stringContaining(`${relay.url}: 1 heads`),
    ])
    await rotateAndPush()
    // What came after the export is not known of it, and no fault of it either.
    const later = await verify('--relay', relay.url, ...identity)
    expect([later.status, later.stdout]).toEqual([
      3,
      expect.stringContaining('later than the file: head 1.'),
    ])
    const gone = await verify('--relay', 'http://127.0.0.1:9', ...identity)
    expect([gone.status, gone.stdout]).toEqual([3, expect.stringContaining('could not be asked')])
    expect(await verify('--relay', relay.url)).toMatchObject({ status: 2 })
    expect(await auditor('audit', 'verify', file)).toMatchObject({ status: 2 })
    expect(await auditor('audit', 'verify', join(directory, 'none'), '--tenant', id)).toMatchObject(
      {
        status: 3,
      },
    )
  },
  LONG,
)
