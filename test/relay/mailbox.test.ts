/** Requests and refusals (docs/PROTOCOL.md [relay-9]). */
import { makeRefusal, makeRequest } from '../lib/documents.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { mailboxSchema, type Mailbox } from '../../shared/deriver-calls.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type KeyRequestBody } from '../../shared/key-package.ts'
import { askDelivery, enrol, pushAll, readDelivery, send } from '../lib/calls.ts'
import { mailboxCalls } from '../lib/mailbox-calls.ts'
import { publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  issueSigner,
  makeCa,
  makeClient,
  makePackage,
  makeWorld,
  random,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())

const { answer, ask, post, start } = mailboxCalls(() => relay)

async function waiting(world: World, after = 0): Promise<Mailbox> {
  const listed = await send(relay, `${paths.requests(world.tenant)}?after=${after}`, world.deriver)
  return mailboxSchema(listed.json, '')
}

describe('requests', () => {
  it('wait until the deriver is done with them', async () => {
    const { world, alice } = await start()
    expect(await waiting(world)).toEqual({ next: 0, requests: [] })
    expect((await ask(world, alice)).status).toBe(202)
    expect((await ask(world, alice)).status).toBe(202)
    const both = await waiting(world)
    expect(both.requests).toHaveLength(2)
    expect(both.requests[0]?.package).toEqual(alice.package)
    expect((await waiting(world, both.next)).requests).toEqual([])
    expect((await answer(world, both.next - 1)).status).toBe(204)
    expect((await waiting(world)).requests).toHaveLength(1)
    await answer(world, both.next)
    expect(await waiting(world)).toEqual({ next: 0, requests: [] })
  })

  it('are numbered upwards, also after the mailbox was empty', async () => {
    const { world, alice } = await start()
    await ask(world, alice)
    const { next } = await waiting(world)
    await answer(world, 1_000_000)
    await ask(world, alice)
    const later = await waiting(world, next)
    expect(later.requests).toHaveLength(1)
    expect(later.next).toBe(next + 1)
  })

  it('[relay-9] a repeated request changes nothing', async () => {
    const { world, alice } = await start()
    const body = { package: alice.package, request: await makeRequest(world, alice, [random(16)]) }
    expect((await post(world, alice.signer, body)).status).toBe(202)
    expect((await post(world, alice.signer, body)).status).toBe(202)
    expect((await waiting(world)).requests).toHaveLength(1)
  })

  it('[relay-9] one certificate has at most 16 open', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    for (let i = 0; i < 16; i++) expect((await ask(world, alice)).status).toBe(202)
    const full = await ask(world, alice)
    expect(full).toMatchObject({ status: 429, code: 'ERR_QUOTA' })
    expect(full.headers.get('retry-after')).toBe('60')
    expect((await ask(world, bob)).status).toBe(202)
    await answer(world, 1)
    expect((await ask(world, alice)).status).toBe(202)
  })

  it('[relay-9] one that has ended by the clock of the relay is refused, as no deriver would get it', async () => {
    const { world, alice } = await start()
    // Within the skew: a deriver whose clock is behind might take it.
    const over = { issuedAt: world.now - 50, expiresAt: world.now - 1 }
    expect(await ask(world, alice, over)).toMatchObject({
      status: 400,
      code: 'ERR_REQUEST_EXPIRED',
    })
    expect((await waiting(world)).requests).toEqual([])
  })

  it.each([
    ['expired', { expiresAt: 1_000 }, 'ERR_REQUEST_EXPIRED'],
    ['too long-lived', { expiresAt: 4_000_000_000 }, 'ERR_REQUEST_EXPIRED'],
    ['from the future', { issuedAt: 4_000_000_000, expiresAt: 4_000_000_010 }, 'ERR_FUTURE'],
    ['for another package', { package: new Uint8Array(32) }, 'ERR_KEY_PACKAGE'],
    ['of another tenant', { tenant: 'a'.repeat(52) }, 'ERR_TENANT'],
    ['of another signer', { signer: new Uint8Array(32) }, 'ERR_SIGNER'],
    ['without keyrings', { keyrings: [] }, 'ERR_SCHEMA'],
  ] as const)('[relay-9] a request that is %s is refused', async (_, changes, code) => {
    const { world, alice } = await start()
    expect(await ask(world, alice, changes as unknown as Partial<KeyRequestBody>)).toMatchObject({
      status: 400,
      code,
    })
    expect((await waiting(world)).requests).toEqual([])
  })

  it('[relay-9] a package that is expired, of a suite that is not allowed or of another CA is refused', async () => {
    const { world, alice } = await start()
    const cases: [Promise<Envelope>, string][] = [
      [
        makePackage(world, alice.signer, alice.key, {
          issuedAt: world.now - 90,
          expiresAt: world.now - 80,
        }),
        'ERR_KEY_PACKAGE_STALE',
      ],
      [makePackage(world, alice.signer, alice.key, { suite: 'P-256' }), 'ERR_KEY_PACKAGE'],
      [
        makePackage(world, alice.signer, alice.key, { expiresAt: world.now + 31 * 86_400 }),
        'ERR_LIFETIME',
      ],
      [
        issueSigner(await makeCa('client', world.now), uriOf('client', 'eve'), world.now).then(
          (signer) => makePackage(world, signer, alice.key),
        ),
        'ERR_PATH_INVALID',
      ],
    ]
    for (const [made, code] of cases) {
      const envelope = await made
      const request = await makeRequest(world, alice, [random(16)], {
        package: documentHash(envelope),
      })
      const refused = await post(world, alice.signer, { package: envelope, request })
      expect(refused).toMatchObject({ status: 400, code })
    }
    const strict = await makeWorld({ trust: { suites: ['P-256'] } })
    await enrol(relay, strict)
    expect(await ask(strict, await makeClient(strict, 'x'))).toMatchObject({
      status: 400,
      code: 'ERR_SUITE',
    })
  })

  it('[relay-9] a request that another client brings is refused', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    const request = await makeRequest(world, alice, [random(16)])
    const refused = await post(world, bob.signer, { package: alice.package, request })
    expect(refused).toMatchObject({ status: 400, code: 'ERR_SIGNER' })
  })

  it('[relay-1] a cursor that is no number is refused', async () => {
    const { world } = await start()
    for (const after of ['-1', 'x', '1e3', '9'.repeat(20)]) {
      const path = `${paths.requests(world.tenant)}?after=${after}`
      expect(await send(relay, path, world.deriver)).toMatchObject({
        status: 400,
        code: 'ERR_SCHEMA',
      })
    }
  })
})

describe('refusals', () => {
  it('reach their client only, the newest for each keyring', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    await pushAll(relay, world, await publish(world, []), null)
    const [one, two] = [random(16), random(16)]
    const old = await makeRefusal(world, alice.fingerprint, one, { kind: 'pending' })
    const newest = await makeRefusal(world, alice.fingerprint, one)
    const other = await makeRefusal(world, alice.fingerprint, two)
    expect((await answer(world, 0, [old])).status).toBe(204)
    expect((await answer(world, 0, [newest, other])).status).toBe(204)
    const given = async (client: Client, keyrings = [one, two]): Promise<Envelope[]> =>
      readDelivery(await askDelivery(relay, world, client, keyrings)).refusals
    expect(await given(alice)).toEqual([newest, other])
    expect(await given(alice, [two])).toEqual([other])
    expect(await given(bob)).toEqual([])
  })

  it.each([
    ['expired', { issuedAt: 1_000, expiresAt: 2_000 }, 'ERR_STALE'],
    ['too long-lived', { expiresAt: 4_000_000_000 }, 'ERR_STALE'],
    ['of another tenant', { tenant: 'a'.repeat(52) }, 'ERR_TENANT'],
    ['of another kind', { kind: 'maybe' }, 'ERR_SCHEMA'],
  ] as const)('[relay-9] one that is %s is refused', async (_, changes, code) => {
    const { world, alice } = await start()
    const refusal = await makeRefusal(world, alice.fingerprint, random(16), changes)
    expect(await answer(world, 0, [refusal])).toMatchObject({ status: 400, code })
  })

  it('[relay-9] one that a client signed is refused', async () => {
    const { world, alice } = await start()
    const refusal = await makeRefusal(
      { ...world, deriver: alice.signer },
      alice.fingerprint,
      random(16),
    )
    expect(await answer(world, 0, [refusal])).toMatchObject({
      status: 400,
      code: 'ERR_PATH_INVALID',
    })
  })
})
