// App config, errors and the small forms of the HTTP interface.
import { describe, expect, it } from 'vitest'
import { paths, STATUS } from '../../shared/api.ts'
import { decodeBatch, encodeBatch } from '../../shared/deriver-calls.ts'
import { eventSchema } from '../../shared/events.ts'
import { base64url, concat, u32, utf8 } from '../../shared/bytes.ts'
import { callSchema } from '../../shared/client-calls.ts'
import { parseAppConfig } from '../../shared/config.ts'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { MAX_BATCH_OBJECTS, MAX_OBJECT } from '../../shared/limits.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'

describe('app config', () => {
  const good = {
    floor: null,
    keyrings: [{ id: base64url(seeded('a', 16)), name: 'notes' }],
    relays: ['https://relay.example', 'http://localhost:8787'],
    tenant: `${'k'.repeat(51)}q`,
  }

  it('is read', () => {
    const config = parseAppConfig(good)
    expect(config.keyrings.get('notes')).toEqual(seeded('a', 16))
    expect(config).toMatchObject({ floor: null, relays: good.relays, tenant: good.tenant })
    const floor = { hash: base64url(seeded('h')), number: 3 }
    expect(parseAppConfig({ ...good, floor }).floor).toEqual({ hash: seeded('h'), number: 3 })
  })

  it.each([
    ['a tenant of another length', { tenant: 'k'.repeat(51) }],
    ['a tenant with unused bits', { tenant: 'k'.repeat(51) + 'b' }],
    ['a tenant in capitals', { tenant: 'K'.repeat(51) + 'A' }],
    ['no relay', { relays: [] }],
    ['a relay with a path', { relays: ['https://relay.example/x'] }],
    ['a relay of another scheme', { relays: ['javascript:alert(1)'] }],
    ['a keyring without a name', { keyrings: [{ id: good.keyrings[0]!.id, name: ' ' }] }],
    ['a keyring id of another length', { keyrings: [{ id: 'AAAA', name: 'x' }] }],
    ['a name twice', { keyrings: [good.keyrings[0], good.keyrings[0]] }],
    ['a floor of number 0', { floor: { hash: base64url(seeded('h')), number: 0 } }],
    ['an unknown field', { more: 1 }],
  ])('[dec-3] %s is ERR_SCHEMA', async (_, edit) => {
    await expectCode(() => parseAppConfig({ ...good, ...edit }), 'ERR_SCHEMA')
  })

  it('[dec-3] what is no object is ERR_SCHEMA', async () => {
    for (const value of [null, [], 'x', 1, undefined]) {
      await expectCode(() => parseAppConfig(value), 'ERR_SCHEMA')
    }
  })
})

describe('batch', () => {
  it('round-trips', () => {
    const objects = [utf8('a'), new Uint8Array(), seeded('b')]
    expect(decodeBatch(encodeBatch(objects))).toEqual(objects)
    expect(decodeBatch(new Uint8Array())).toEqual([])
  })

  it('[dec-4] a length that is not there, or above that of an object, is ERR_MALFORMED', async () => {
    const batch = encodeBatch([utf8('abc')])
    await expectCode(() => decodeBatch(batch.slice(0, -1)), 'ERR_MALFORMED')
    await expectCode(() => decodeBatch(concat(batch, Uint8Array.of(0))), 'ERR_MALFORMED')
    const large = concat(u32(MAX_OBJECT + 1), new Uint8Array(MAX_OBJECT + 1))
    await expectCode(() => decodeBatch(large), 'ERR_MALFORMED')
    const largest = concat(u32(MAX_OBJECT), new Uint8Array(MAX_OBJECT))
    expect(decodeBatch(largest).length).toBe(1)
  })

  it('[dec-1] more than 10,000 objects are ERR_TOO_LARGE', async () => {
    const most = new Uint8Array(4 * MAX_BATCH_OBJECTS)
    expect(decodeBatch(most).length).toBe(10_000)
    await expectCode(() => decodeBatch(concat(most, new Uint8Array(4))), 'ERR_TOO_LARGE')
  })
})

describe('HTTP', () => {
  it('events are of three kinds', async () => {
    const hash = base64url(seeded('h'))
    expect(eventSchema({ type: 'head', hash }, '')).toEqual({ type: 'head', hash: seeded('h') })
    expect(eventSchema({ type: 'request' }, '')).toEqual({ type: 'request' })
    for (const bad of [{ type: 'head' }, { type: 'other' }, { type: 'request', hash }, null, 'x']) {
      await expectCode(() => eventSchema(bad, ''), 'ERR_SCHEMA')
    }
  })

  it('[dec-3] a request for a delivery has at most 64 keyrings', async () => {
    const request = (n: number) => ({
      call: 'delivery',
      have: { catalog: 0, head: '', objects: [], trust: 0 },
      keyrings: Array.from({ length: n }, (_, i) => base64url(seeded(`${i}`, 16))),
      package: '',
      slots: [],
    })
    expect(callSchema(request(64), '')).toMatchObject({ keyrings: { length: 64 } })
    await expectCode(() => callSchema(request(65), ''), 'ERR_SCHEMA')
  })

  it('paths name the tenant', () => {
    expect(paths.object('t', 'h')).toBe('/v1/t/objects/h')
    expect(Object.keys(STATUS).every((code) => code in ERROR_CODES)).toBe(true)
  })
})

describe('errors', () => {
  it('are never without a message: who gives none for a code that has to be told shows the code', () => {
    // As JavaScript can, where types forbid it.
    const code = 'ERR_IO' as 'ERR_OPEN'
    expect(new KeyferryError(code).message).toBe('ERR_IO')
  })

  it('are told by their code, also from another realm', () => {
    const error = new KeyferryError('ERR_OPEN', undefined, { cause: 1 })
    expect([error.message, error.cause, error.name]).toEqual([
      'cannot be opened',
      1,
      'KeyferryError',
    ])
    expect(isKeyferryError(error)).toBe(true)
    expect(isKeyferryError(error, 'ERR_OPEN')).toBe(true)
    expect(isKeyferryError(error, 'ERR_HASH')).toBe(false)
    const foreign = Object.assign(new Error('x'), { name: 'KeyferryError', code: 'ERR_OPEN' })
    expect(isKeyferryError(foreign)).toBe(true)
    // Of services, whose codes a client has no table of, or of another version.
    for (const code of ['ERR_NEW_KEY', 'ERR_YET_UNKNOWN'])
      expect(isKeyferryError(Object.assign(new Error('x'), { name: 'KeyferryError', code }))).toBe(
        true,
      )
    for (const other of [
      new Error('x'),
      null,
      { name: 'KeyferryError', code: 'ERR_OPEN' },
      Object.assign(new Error('x'), { code: 'ERR_OPEN' }),
      Object.assign(new Error('x'), { name: 'KeyferryError', code: ['ERR_OPEN'] }),
      Object.assign(new Error('x'), { name: 'KeyferryError', code: 'toString' }),
    ]) {
      expect(isKeyferryError(other)).toBe(false)
    }
  })
})
