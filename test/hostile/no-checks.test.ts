/** The whole honest story over a relay that checks nothing at all: it takes what anybody posts, and shows what came last. */
import { expect, it } from 'vitest'
import { revokeClient } from '../../deriver/revocation.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { toJson } from '../lib/calls.ts'
import { codeOf } from '../lib/deriver.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { makeClient, makeTrust, makeWorld, random } from '../lib/world.ts'
import { path, tryEncrypt, useWholePath } from '../lib/whole-path.ts'

useWholePath()

const isKeyId = /^[0-9a-f]{64}$/

async function post(call: string, body: BodyInit): Promise<void> {
  const url = `https://relay.example/v1/${path.service.tenant}/${call}`
  const { status } = await path.relay.fetch(url, { method: 'POST', body })
  expect(status).toBeLessThan(300)
}

/** What a stranger posts who has read the API page: a complete world of its own under the tenant's address, and junk. */
async function flood(): Promise<void> {
  const world = await makeWorld({ now: path.now() })
  const mallory = await makeClient(world, 'mallory')
  const made = await publish(world, [makeKeyring('notes', [mallory])], { version: 9_000 })
  await post('objects', encodeBatch([...made.objects, random(100)]))
  const push = { catalog: made.catalog, crls: made.crls, head: made.head }
  await post('push', toJson(push))
  const request = { call: 'request', package: mallory.package, request: mallory.package }
  await post('calls', toJson(request))
  await post('trust', toJson((await makeTrust(world)).envelope))
  await post('answers', toJson({ done: 0, refusals: [made.head] }))
}

it(
  'the relay’s checks all off · anybody · clients go on, by name, and nobody gets a key',
  { timeout: 120_000 },
  async () => {
    const ada = await path.join(await path.identityOf('ada'))
    const eve = await path.join(await path.identityOf('eve'))
    const notes = await ada.keyring('notes')
    const first = await notes.encrypt('first')
    expect(await (await eve.keyring('notes')).decrypt(first, { as: 'text' })).toBe('first')

    // A stranger's world is refused, by name, and what was there goes on.
    await flood()
    expect(await codeOf(ada.refresh())).toMatch(/^ERR_(TENANT|TRUST_DOCUMENT)$/)
    expect(await tryEncrypt(ada, 'notes')).toMatch(isKeyId)
    path.relay.trusts.splice(1)

    // The next true head is the last one again; the mailbox was full of junk meanwhile.
    path.tenant.clock.now += 60
    rotateKeyring(path.tenant.store, 'notes', path.now())
    await path.service.step()
    await ada.refresh()
    expect(path.events).toContainEqual(expect.objectContaining({ type: 'invalid-request' }))
    const rotated = await notes.encrypt('rotated')
    await eve.refresh()
    const hers = await eve.keyring('notes')
    expect(await hers.decrypt(rotated, { as: 'text' })).toBe('rotated')

    // One that is revoked reads nothing new, whatever anybody posts.
    revokeClient(path.tenant.store, 'keyferry://client.acme.example/eve', path.now())
    await path.service.step()
    await flood()
    path.relay.trusts.splice(1)
    path.relay.pushes.pop()
    await ada.refresh()
    const secret = await notes.encrypt('secret')
    expect(await codeOf(hers.decrypt(secret))).toBe('ERR_UNKNOWN_KEY')
    expect(await notes.decrypt(first, { as: 'text' })).toBe('first')

    // One that joins late gets what is true, with the flood between.
    await flood()
    path.relay.trusts.splice(1)
    path.relay.pushes.pop()
    const bob = await path.join(await path.identityOf('bob'))
    expect(await (await bob.keyring('notes')).decrypt(secret, { as: 'text' })).toBe('secret')
  },
)
