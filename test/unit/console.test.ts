/** The console's server: who is let in, which calls are refused, what they change and what the log says of it. Real database, real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  endAccess,
  IDLE_TIME,
  LINK_TIME,
  listAccess,
  makeLink,
  makeToken,
  SESSION_TIME,
} from '../../deriver/console/access.ts'
import { parseBaseUrl, parseListen, requirePrivate } from '../../deriver/console/guard.ts'
import { readEntries } from '../../deriver/console/log-view.ts'
import { startConsole, type Console } from '../../deriver/console/server.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { listRequests } from '../../deriver/pending.ts'
import { noteRestored } from '../../deriver/restored.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { keyPath } from '../../deriver/key-files.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { type Overview, type RevokedView, type SessionView } from '../../deriver/console/types.ts'
import { callConsole, type Answer } from '../lib/console-calls.ts'
import { ask, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

let console: Console
let payroll: Bytes

beforeEach(async () => {
  const rules = ['keyferry://client.acme.example/finance/*']
  payroll = createKeyring(
    tenant.store,
    { name: 'pay/roll', rules, approvals: true },
    tenant.clock.now,
  ).id
  console = await startConsole({ store: tenant.store, port: 0, now: () => tenant.clock.now })
})
afterEach(() => console.stop())

type Call = Parameters<typeof callConsole>[2]
const call = (path: string, options?: Call): Promise<Answer> =>
  callConsole(console.url, path, options)
const codeOf = ({ text }: Answer): string => (JSON.parse(text) as { code: string }).code
const link = (): string => makeLink(tenant.store, 'ada', tenant.clock.now)
const login = (token: string): Promise<Answer> =>
  call('/api/login', { method: 'POST', body: { token } })

/** Headers of a session's page. */
async function session(): Promise<Record<string, string>> {
  const answer = await login(link())
  const { proof } = JSON.parse(answer.text) as SessionView
  const [cookie] = answer.headers['set-cookie'] as string[]
  const { origin } = new URL(console.url)
  return { cookie: cookie!.split(';')[0]!, 'keyferry-proof': proof!, origin }
}

const version = (): number =>
  tenant.store.get<{ v: number }>("SELECT encrypt_version AS v FROM keyrings WHERE name = 'notes'")!
    .v
const lastEvents = (n: number): string[] =>
  readEntries(tenant.store, Number.MAX_SAFE_INTEGER, n).entries.map(({ event }) => event)

describe('a login', () => {
  it('takes a link once, and is in the log; the database has no secret of it', async () => {
    const token = link()
    const answer = await login(token)
    expect(answer.status).toBe(200)
    const { proof, name } = JSON.parse(answer.text) as SessionView
    expect(name).toBe('ada')
    const [cookie] = answer.headers['set-cookie'] as string[]
    expect(cookie).toMatch(/; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/)
    expect(lastEvents(1)).toEqual(['console-opened'])
    expect(codeOf(await login(token))).toBe('ERR_UNAUTHORIZED')
    const stored = JSON.stringify(
      tenant.store
        .all<{ hash: Bytes; proof: Bytes }>('SELECT hash, proof FROM console_access')
        .map((row) => [hex(new Uint8Array(row.hash)), hex(new Uint8Array(row.proof))]),
    )
    for (const secret of [token, proof!, cookie!.split(/[=;]/)[1]!]) {
      expect(secret.length).toBe(43)
      expect(stored).not.toContain(Buffer.from(secret, 'base64url').toString('hex'))
    }
  })

  it('is not possible with a link that waited too long, or with a word of ones own', async () => {
    const token = link()
    tenant.clock.now += LINK_TIME + 1
    expect((await login(token)).status).toBe(401)
    expect((await login('x'.repeat(43))).status).toBe(401)
    expect((await call('/api/login', { method: 'POST', body: {} })).status).toBe(401)
  })

  it('is closed for a minute after ten that failed, and an alarm says so', async () => {
    for (let i = 0; i < 10; i++) expect((await login(`wrong-${i}`)).status).toBe(401)
    const refused = await login(link())
    expect([refused.status, codeOf(refused)]).toEqual([429, 'ERR_QUOTA'])
    expect(refused.headers['retry-after']).toBe('60')
    tenant.clock.now += 60
    const headers = await session()
    const { alarms } = JSON.parse((await call('/api/overview', { headers })).text) as Overview
    expect(alarms.filter(({ kind }) => kind === 'logins')).toEqual([])
  })
})

describe('a session', () => {
  it('is cookie and proof together: cookies are of every port of a host', async () => {
    const { cookie, ...others } = await session()
    const overview = (headers: Record<string, string>) => call('/api/overview', { headers })
    expect((await overview({ ...others, cookie: cookie! })).status).toBe(200)
    expect((await overview({ cookie: cookie! })).status).toBe(401)
    expect((await overview(others)).status).toBe(401)
    expect((await overview({ ...others, cookie: cookie!, 'keyferry-proof': 'x' })).status).toBe(401)
  })

  it('ends by itself, when nothing is done for half an hour and after eight hours', async () => {
    const headers = await session()
    const rotate = () => call('/api/keyrings/notes/rotate', { method: 'POST', headers })
    const began = tenant.clock.now
    while (tenant.clock.now + IDLE_TIME - 1 < began + SESSION_TIME) {
      tenant.clock.now += IDLE_TIME - 1
      expect((await rotate()).status).toBe(200)
    }
    tenant.clock.now = began + SESSION_TIME + 1
    expect((await rotate()).status).toBe(401)
    const other = await session()
    tenant.clock.now += IDLE_TIME
    expect((await call('/api/session', { headers: other })).status).toBe(200)
    tenant.clock.now += 1
    expect((await call('/api/session', { headers: other })).status).toBe(401)
  })

  it('is ended by its owner, or by name from the command line', async () => {
    const mine = await session()
    const other = await session()
    expect((await call('/api/logout', { method: 'POST', headers: mine })).status).toBe(200)
    expect((await call('/api/session', { headers: mine })).status).toBe(401)
    expect((await call('/api/session', { headers: other })).status).toBe(200)
    expect(listAccess(tenant.store, tenant.clock.now).map(({ kind }) => kind)).toEqual(['session'])
    expect(endAccess(tenant.store, 'ada')).toBe(1)
    expect((await call('/api/session', { headers: other })).status).toBe(401)
    expect(() => endAccess(tenant.store, 'ada')).toThrow('nobody')
  })
})

describe('a call', () => {
  it('to another name is refused: DNS rebinding', async () => {
    const headers = await session()
    const { port } = new URL(console.url)
    for (const host of [`evil.example:${port}`, `127.0.0.1.evil.example:${port}`, `127.0.0.1`]) {
      for (const path of ['/', '/api/overview']) {
        const answer = await call(path, { headers: { ...headers, host } })
        expect([answer.status, codeOf(answer)]).toEqual([403, 'ERR_ORIGIN'])
      }
    }
    for (const host of [`localhost:${port}`, `[::1]:${port}`])
      expect((await call('/', { headers: { host } })).status).toBe(200)
  })

  it('out of another page is refused, with everything that a session has', async () => {
    const headers = await session()
    const before = version()
    const { port } = new URL(console.url)
    const others: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://127.0.0.1:${Number(port) + 1}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
    ]
    for (const other of others) {
      const answer = await call('/api/keyrings/notes/rotate', {
        method: 'POST',
        headers: { ...headers, ...other },
      })
      expect([answer.status, codeOf(answer)]).toEqual([403, 'ERR_ORIGIN'])
    }
    const { origin: _, ...withoutOrigin } = headers
    expect(
      codeOf(await call('/api/keyrings/notes/rotate', { method: 'POST', headers: withoutOrigin })),
    ).toBe('ERR_ORIGIN')
    expect(version()).toBe(before)
  })

  it('with a body that is none, too large, of another type or with more fields is refused', async () => {
    const headers = await session()
    const post = (body: unknown, more = {}) =>
      call('/api/clients/revoke', { method: 'POST', headers: { ...headers, ...more }, body })
    expect(codeOf(await post('{'))).toBe('ERR_MALFORMED')
    expect(codeOf(await post('[]'))).toBe('ERR_MALFORMED')
    expect(codeOf(await post('{}', { 'content-type': 'text/plain' }))).toBe('ERR_MEDIA_TYPE')
    expect(codeOf(await post({ uri: 'x'.repeat(20_000) }))).toBe('ERR_TOO_LARGE')
    expect(codeOf(await post({ uri: 'a', more: 1 }))).toBe('ERR_SCHEMA')
    expect(codeOf(await post({}))).toBe('ERR_SCHEMA')
    expect(codeOf(await post({ uri: 'a', device: 'b' }))).toBe('ERR_SCHEMA')
    expect(codeOf(await post({ uri: 'a', reason: 'boredom' }))).toBe('ERR_SCHEMA')
    expect(codeOf(await post({ uri: 'keyferry://client.acme.example/nobody' }))).toBe(
      'ERR_NOT_FOUND',
    )
    expect((await call('/api/nothing', { headers })).status).toBe(404)
    expect((await call('/api/overview', { method: 'DELETE', headers })).status).toBe(405)
    expect((await call('/api/requests/%ff/approve', { method: 'POST', headers })).status).toBe(404)
  })

  it('is answered with headers that let nothing in', async () => {
    const { headers, text } = await call('/')
    const policy = headers['content-security-policy'] as string
    for (const part of [
      "default-src 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
      "base-uri 'none'",
    ])
      expect(policy).toContain(part)
    expect(policy).not.toContain('unsafe')
    expect(headers['x-frame-options']).toBe('DENY')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['access-control-allow-origin']).toBeUndefined()
    // Nothing of the page is inline, and nothing comes from elsewhere.
    expect(text).not.toMatch(
      /<script(?! type="module" src="main\.js")|<style|style=|\son\w+=|https?:/,
    )
  })
})

describe('an action', () => {
  it('is in the log before its effect, with who asked for it', async () => {
    const headers = await session()
    const answer = await call('/api/keyrings/notes/rotate', { method: 'POST', headers })
    expect(JSON.parse(answer.text)).toEqual({ name: 'notes', version: 2 })
    expect(version()).toBe(2)
    expect(lastEvents(3)).toEqual(['version-activated', 'version-created', 'console-ordered'])
    const [, , ordered] = readEntries(tenant.store, Number.MAX_SAFE_INTEGER, 3).entries
    expect(ordered!.fields).toMatchObject({ action: 'rotate notes', by: 'ada' })
  })

  it('approves and denies requests that wait', async () => {
    for (const name of ['dora', 'eve']) await ask(await makeClient(tenant, name), [payroll])
    const [dora, eve] = listRequests(tenant.store)
    const headers = await session()
    const post = (path: string, body?: unknown) =>
      call(`/api/requests/${path}`, { method: 'POST', headers, body })
    expect(JSON.parse((await post(`${dora!.id}/approve`)).text)).toEqual({
      uri: 'keyferry://client.acme.example/dora',
      keyring: 'pay/roll',
    })
    expect((await post(`${eve!.id}/deny`, { reason: 'not you' })).status).toBe(200)
    expect((await post(`${dora!.id}/approve`)).status).toBe(409)
    expect(listRequests(tenant.store).map(({ state, reason }) => [state, reason])).toEqual([
      ['approved', ''],
      ['denied', 'not you'],
    ])
  })

  it('says what a revocation would do, changes nothing, and then does that', async () => {
    const ben = await makeClient(tenant, 'ben')
    await ask(ben)
    const headers = await session()
    const revoke = async (more: object): Promise<RevokedView> => {
      const body = { uri: ben.uri, ...more }
      const { text } = await call('/api/clients/revoke', { method: 'POST', headers, body })
      return JSON.parse(text) as RevokedView
    }
    const size = readEntries(tenant.store, 0, 1).size
    const would = await revoke({ preview: true })
    expect(would).toMatchObject({ keys: 1, certificates: 1, keyrings: ['notes'], isPreview: true })
    expect(readEntries(tenant.store, 0, 1).size).toBe(size)
    expect(await revoke({ reason: 'keyCompromise' })).toEqual({ ...would, isPreview: false })
    expect(lastEvents(3)).toEqual(['certificate-revoked', 'device-denied', 'console-ordered'])
  })

  it('plans a rotation, and takes the plan back; a name may hold anything', async () => {
    const headers = await session()
    const plan = (at: unknown) =>
      call(`/api/keyrings/${encodeURIComponent('pay/roll')}/schedule`, {
        method: 'POST',
        headers,
        body: { at },
      })
    const at = tenant.clock.now + 86_400
    expect(JSON.parse((await plan(at)).text)).toEqual({ name: 'pay/roll', at })
    expect((await plan(tenant.clock.now)).status).toBe(422)
    expect((await plan(at + 400 * 86_400)).status).toBe(422)
    expect((await plan('soon')).status).toBe(422)
    for (const never of [2 ** 53 - 1, -(2 ** 53 - 1)])
      expect(codeOf(await plan(never))).toBe('ERR_SCHEMA')
    expect((JSON.parse((await plan(null)).text) as { at: number }).at).toBeGreaterThan(at)
  })
})

describe('what cannot be done is said as such, and changes nothing', () => {
  it('a rotation under the fence of a restore, and a reason that is no Unicode', async () => {
    noteRestored(tenant.store, tenant.clock.now)
    const headers = await session()
    const rotated = await call('/api/keyrings/notes/rotate', { method: 'POST', headers })
    expect([rotated.status, codeOf(rotated)]).toEqual([409, 'ERR_ROLLBACK'])
    expect(version()).toBe(1)
    const size = readEntries(tenant.store, 0, 1).size
    const body = { uri: 'keyferry://client.acme.example/\ud800' }
    const revoked = await call('/api/clients/revoke', { method: 'POST', headers, body })
    expect([revoked.status, codeOf(revoked)]).toEqual([400, 'ERR_NOT_CANONICAL'])
    expect(readEntries(tenant.store, 0, 1).size).toBe(size)
  })
})

describe('a script', () => {
  it('uses a token, and a token that only reads changes nothing', async () => {
    const { now } = tenant.clock
    const act = makeToken(tenant.store, 'ci', 'token', 3_600, now)
    const read = makeToken(tenant.store, 'graphs', 'reader', 3_600, now)
    expect(lastEvents(2)).toEqual(['console-opened', 'console-opened'])
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    expect((await call('/api/overview', { headers: bearer(read) })).status).toBe(200)
    const rotate = (token: string) =>
      call('/api/keyrings/notes/rotate', { method: 'POST', headers: bearer(token) })
    expect(codeOf(await rotate(read))).toBe('ERR_DENIED')
    expect((await rotate(act)).status).toBe(200)
    expect((await rotate('x'.repeat(43))).status).toBe(401)
    // A link and a session are no tokens.
    expect((await rotate(link())).status).toBe(401)
    tenant.clock.now += 3_601
    expect((await rotate(act)).status).toBe(401)
  })

  it('is shown no secret: not the master, no salt, no token', async () => {
    await ask(await makeClient(tenant, 'ben'))
    const token = makeToken(tenant.store, 'graphs', 'reader', 3_600, tenant.clock.now)
    const headers = { authorization: `Bearer ${token}` }
    let all = ''
    for (const path of ['overview', 'keyrings', 'clients', 'requests', 'log', 'relay', 'session'])
      all += (await call(`/api/${path}`, { headers })).text
    const secrets = [
      readKeyFile(keyPath(tenant.directory, 'master'), 'master', null),
      Buffer.from(token, 'base64url'),
      ...tenant.store
        .all<{ salt: Bytes }>(
          'SELECT salt FROM generations UNION SELECT channel_salt FROM devices UNION SELECT salt FROM versions WHERE length(salt) > 0',
        )
        .map(({ salt }) => salt),
    ]
    expect(secrets.length).toBeGreaterThan(4)
    expect(all.length).toBeGreaterThan(3_000)
    for (const secret of secrets)
      for (const form of ['hex', 'base64', 'base64url'] as const)
        expect(all).not.toContain(Buffer.from(secret).toString(form).slice(0, 40))
  })
})

describe('behind a proxy', () => {
  it('it answers to the name of the proxy, below its path, kept or taken away', async () => {
    const url = 'https://keys.acme.example/console/'
    const own = await startConsole({
      store: tenant.store,
      port: 0,
      url,
      now: () => tenant.clock.now,
    })
    try {
      expect(own.url).toBe(url)
      const { port } = new URL(console.url)
      const at = `http://127.0.0.1:${own.port}/`
      const get = (path: string, host = 'keys.acme.example') =>
        callConsole(at, path, { headers: { host } })
      expect((await get('/console/')).status).toBe(200)
      expect((await get('/console/main.js')).status).toBe(200)
      expect((await get('/')).status).toBe(200)
      expect((await get('/', `127.0.0.1:${port}`)).status).toBe(403)
      const answer = await callConsole(at, '/console/api/login', {
        method: 'POST',
        headers: { host: 'keys.acme.example', origin: 'https://keys.acme.example' },
        body: { token: link() },
      })
      const [cookie] = answer.headers['set-cookie'] as string[]
      expect(cookie).toMatch(/^__Secure-.*; Path=\/console\/;.*; Secure$/)
    } finally {
      await own.stop()
    }
  })

  it('an address that others reach takes one with TLS', async () => {
    expect(parseListen('7070')).toEqual({ host: '127.0.0.1', port: 7070 })
    expect(parseListen('[::1]:7070')).toEqual({ host: '::1', port: 7070 })
    expect(parseListen('0.0.0.0:80')).toEqual({ host: '0.0.0.0', port: 80 })
    for (const text of ['', 'x', '70000', 'example.org:80'])
      expect(() => parseListen(text)).toThrow('PORT')
    await expectCode(startConsole({ store: tenant.store, host: '0.0.0.0', port: 0 }), 'ERR_USAGE')
    expect(() => requirePrivate('0.0.0.0', 'https://keys.acme.example/')).not.toThrow()
    expect(parseBaseUrl('https://keys.acme.example/console')).toBe(
      'https://keys.acme.example/console/',
    )
    for (const text of ['http://keys.acme.example', 'https://a@keys.acme.example', 'x'])
      expect(() => parseBaseUrl(text)).toThrow('https')
  })
})
