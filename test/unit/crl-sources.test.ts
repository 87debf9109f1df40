/** Lists of a customer's CA, polled from a real server and from files: what a place gives is believed only as far as the CA signed it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  addSource,
  listSources,
  pollSources,
  removeSource,
  type CrlEvent,
} from '../../deriver/crl-sources.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { type Bytes, equal } from '../../shared/bytes.ts'
import { issueCrl, type Issuer } from '../../shared/issue.ts'
import { encodePem } from '../../shared/pem.ts'
import { startCrlServer, type CrlServer } from '../lib/crl-server.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

let tenant: TestTenant
let server: CrlServer
let events: CrlEvent[]
beforeEach(async () => {
  tenant = await makeTenant()
  server = await startCrlServer()
  events = []
  addSource(tenant.store, { place: server.url, issuer: null, every: 600 }, tenant.clock.now)
})
afterEach(async () => {
  await server.close()
  tenant.remove()
})

function list(number: number, issuer: Issuer = tenant.clients): Promise<Bytes> {
  const { now } = tenant.clock
  return issueCrl({
    issuer,
    number,
    thisUpdate: now - 10,
    nextUpdate: now + 7 * 86_400,
    revoked: [],
  })
}

async function poll(answer?: Bytes | string): Promise<string | null> {
  if (answer !== undefined) server.answer = (response) => response.end(answer)
  tenant.store.run('UPDATE crl_sources SET due = 0')
  await pollSources(
    tenant.store,
    tenant.trust,
    () => tenant.clock.now,
    (event) => events.push(event),
  )
  return listSources(tenant.store)[0]!.error
}

const has = (der: Bytes): boolean =>
  currentCrls(tenant.store).some((one) => equal(new Uint8Array(one.der), der))

describe('a polled place', () => {
  it('gives a newer list, as DER or PEM, once', async () => {
    const [der, next] = [await list(20), await list(21)]
    expect(await poll(der)).toBe(null)
    expect(await poll(der)).toBe(null)
    expect(await poll(encodePem('X509 CRL', next))).toBe(null)
    expect(events).toEqual([
      { type: 'crl', place: server.url, number: 20 },
      { type: 'crl', place: server.url, number: 21 },
    ])
    expect([has(der), has(next)]).toEqual([false, true])
  })

  it('keeps the last good list whatever else comes, says why, and goes on when the place is well again', async () => {
    const other = await makeTenant()
    const good = await list(20)
    await poll(good)
    const forged = (await list(30)).slice()
    forged[forged.length - 1]! ^= 1
    const cases: [Bytes | string, string][] = [
      ['<html>', 'ERR_MALFORMED'],
      ['', 'ERR_MALFORMED'],
      [forged, 'ERR_CRL'],
      [await list(30, other.clients), 'ERR_CRL'],
      [await list(19), 'ERR_ROLLBACK'],
      [await issueCrl({ ...shape(20), thisUpdate: tenant.clock.now - 20 }), 'ERR_FORK'],
      [new Uint8Array(1_048_577).fill(0x30), 'ERR_TOO_LARGE'],
    ]
    for (const [answer, code] of cases) {
      expect(await poll(answer)).toContain(code)
      expect(has(good)).toBe(true)
      expect(events.at(-1)).toMatchObject({ type: 'crl-error', code })
    }
    other.remove()
    const count = events.length
    expect(await poll()).toContain('ERR_TOO_LARGE')
    // The same problem is told once.
    expect(events).toHaveLength(count)
    expect(await poll(await list(21))).toBe(null)
  })

  function shape(number: number) {
    const { now } = tenant.clock
    return {
      issuer: tenant.clients,
      number,
      thisUpdate: now - 10,
      nextUpdate: now + 86_400,
      revoked: [],
    }
  }

  it('is cut off when its body has no end, or when it is slow', { timeout: 20_000 }, async () => {
    const good = await list(20)
    await poll(good)
    server.answer = (response) => {
      const chunk = Buffer.alloc(65_536, 0x30)
      const more = (): void => {
        if (!response.destroyed && response.write(chunk)) setImmediate(more)
      }
      response.on('drain', more)
      more()
    }
    expect(await poll()).toContain('ERR_TOO_LARGE')
    server.answer = (response) => {
      response.write('0')
    }
    expect(await poll()).toContain('ERR_TIMEOUT')
    expect(has(good)).toBe(true)
  })

  it('is not left by a redirect, and its errors are errors', async () => {
    const der = await list(20)
    const elsewhere = await startCrlServer()
    elsewhere.answer = (response) => response.end(der)
    server.answer = (response) => response.writeHead(302, { location: elsewhere.url }).end()
    expect(await poll()).toContain('ERR_IO')
    server.answer = (response) => response.writeHead(500).end(der)
    expect(await poll()).toContain('ERR_IO')
    expect([elsewhere.calls, has(der)]).toEqual([0, false])
    await elsewhere.close()
  })

  it('is not asked again before it is due, also after a restart, and then comes sooner after a failure', async () => {
    await poll(await list(20))
    const { due } = listSources(tenant.store)[0]!
    expect(due - tenant.clock.now).toBeGreaterThanOrEqual(540)
    expect(due - tenant.clock.now).toBeLessThanOrEqual(660)
    const again = openStore(storePath(tenant.directory))
    const { calls } = server
    await pollSources(
      again,
      tenant.trust,
      () => tenant.clock.now,
      () => {},
    )
    expect(server.calls).toBe(calls)
    await pollSources(
      again,
      tenant.trust,
      () => due,
      () => {},
    )
    expect(server.calls).toBe(calls + 1)
    again.close()
    await poll('junk')
    expect(listSources(tenant.store)[0]!.due).toBe(tenant.clock.now + 60)
  })

  it('may be a file, which is bounded and no device', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    const place = join(directory, 'a.crl')
    removeSource(tenant.store, server.url)
    addSource(tenant.store, { place, issuer: null, every: 60 }, tenant.clock.now)
    expect(await poll()).toContain('ERR_IO')
    const der = await list(20)
    writeFileSync(place, der)
    expect(await poll()).toBe(null)
    expect(has(der)).toBe(true)
    writeFileSync(place, new Uint8Array(1_048_577).fill(0x30))
    expect(await poll()).toContain('ERR_TOO_LARGE')
    removeSource(tenant.store, place)
    addSource(tenant.store, { place: '/dev/zero', issuer: null, every: 60 }, tenant.clock.now)
    expect(await poll()).toContain('ERR_IO')
    rmSync(directory, { recursive: true })
  })

  it('is https, or this machine, or an absolute path', () => {
    for (const place of [
      'http://pki.example/a.crl',
      'ftp://pki.example/a.crl',
      'https://user@pki.example/a.crl',
      'ldap://pki.example/a',
      'a.crl',
      'https://',
    ]) {
      const add = (): void =>
        addSource(tenant.store, { place, issuer: null, every: 600 }, tenant.clock.now)
      expect(add, place).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    }
    addSource(
      tenant.store,
      { place: 'https://pki.example/a.crl', issuer: null, every: 600 },
      tenant.clock.now,
    )
    expect(listSources(tenant.store)).toHaveLength(2)
  })
})
