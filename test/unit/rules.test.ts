// Rules of keyrings: whom they cover, what widens them, and requests that wait for an administrator.
import { describe, expect, it } from 'vitest'
import { createKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { covers, decide, sortedRules } from '../../deriver/policy.ts'
import {
  approveRequest,
  denyRequest,
  dueDenials,
  forgetPending,
  listRequests,
} from '../../deriver/pending.ts'
import { signRefusal } from '../../deriver/refusals.ts'
import { grantApproved } from '../../deriver/grants.ts'
import { changedRules, changeRules, whoIsCovered, type RuleChange } from '../../deriver/rules.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { parseJson } from '../../shared/json.ts'
import { sha256 } from '../../shared/hash.ts'
import { keyId } from '../../shared/signature.ts'
import { ask, maintenance, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient, makePackage, type TestClient } from '../lib/tenant.ts'
import { random } from '../lib/world.ts'

useTenant()

const DAY = 86_400
const WEB = 'keyferry://client.acme.example/web/*'
const APP = 'keyferry://client.acme.example/app/*'

function make(name: string, rules = [WEB], approvals = false): Bytes {
  return createKeyring(tenant.store, { name, rules, approvals }, tenant.clock.now).id
}
const ring = (id: Bytes): KeyringRow =>
  tenant.store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)!
const change = (id: Bytes, what: RuleChange): void =>
  tenant.store.transaction(() => changeRules(tenant.store, ring(id), what, tenant.clock.now))
const isIn = async (id: Bytes, client: TestClient): Promise<boolean> =>
  tenant.store.get(
    'SELECT 1 FROM members WHERE keyring = ? AND device = ?',
    id,
    await keyId(client.key.spki),
  ) !== undefined
const grant = () => grantApproved(tenant.store, tenant.keys, tenant.trust, tenant.clock.now)
const said = (envelope: Envelope | undefined): unknown => parseJson(envelope!.payload, 65_536)

describe('a rule', () => {
  const anchor = random(32)
  it('[request-4] that names an anchor covers its clients alone', () => {
    const uri = 'keyferry://client.acme.example/web/kim'
    const rule = `${WEB}#${base64url(anchor)}`
    expect(covers(rule, uri, anchor)).toBe(true)
    expect(covers(rule, uri, random(32))).toBe(false)
    expect(covers(WEB, uri, random(32))).toBe(true)
    expect(covers(rule, 'keyferry://client.acme.example/app/kim', anchor)).toBe(false)
  })

  it('[request-4] of the manifest grants nothing that the administrator did not allow, nor the other way round', () => {
    const uri = 'keyferry://client.acme.example/web/kim'
    const question = { uri, anchor, denied: false }
    expect(decide({ ...question, rules: [WEB], policy: [WEB] }).granted).toBe(true)
    for (const [rules, policy] of [
      [[WEB], []],
      [[], [WEB]],
      [[WEB], [APP]],
      [null, [WEB]],
    ])
      expect(decide({ ...question, rules: rules!, policy: policy! })).toEqual({
        granted: false,
        reason: 'no rule covers this client',
      })
  })

  it('has one form', async () => {
    expect(sortedRules([WEB, APP, WEB])).toEqual([APP, WEB])
    for (const bad of [
      'x',
      'a://b/c*',
      `${WEB}#short`,
      `${WEB}#${base64url(anchor)}#`,
      'a://b c/*',
    ])
      await expectCode(() => sortedRules([bad]), 'ERR_USAGE')
  })
})

describe('a change of rules', () => {
  it('[request-4] that widens waits for the administrator', async () => {
    const id = make('secret')
    const client = await makeClient(tenant, 'app/al')
    change(id, { add: [APP] })
    expect((await ask(client, [id])).granted).toEqual([])
    change(id, { allow: [APP] })
    expect((await ask(client, [id])).granted).toEqual(['secret'])
    await expectCode(() => changedRules(ring(id), { allow: ['keyferry://x/*'] }), 'ERR_NOT_FOUND')
    await expectCode(() => changedRules(ring(id), { remove: ['keyferry://x/*'] }), 'ERR_NOT_FOUND')
  })

  it('[request-4] that takes a rule away takes the keyring from members of no other rule, and re-keys it', async () => {
    const id = make('secret', [WEB, APP])
    const [web, app] = [await makeClient(tenant, 'web/al'), await makeClient(tenant, 'app/al')]
    await ask(web, [id])
    await ask(app, [id])
    const before = ring(id)
    change(id, { remove: [APP] })
    await maintenance()(tenant.clock.now)
    expect([await isIn(id, web), await isIn(id, app)]).toEqual([true, false])
    const { generation, encrypt_version } = ring(id)
    expect([generation, encrypt_version]).toEqual([
      before.generation + 1,
      before.encrypt_version + 1,
    ])
    // And nothing more comes of it.
    await maintenance()(tenant.clock.now)
    expect(ring(id).generation).toBe(generation)
  })

  it('shows beforehand whom it is about: members, and certificates that never asked', async () => {
    const id = make('secret')
    const member = await makeClient(tenant, 'web/al')
    const other = await makeClient(tenant, 'app/bo')
    await ask(member, [id])
    const { rules } = changedRules(ring(id), { add: [APP] })
    const who = whoIsCovered(tenant.store, ring(id), rules, tenant.clock.now)
    expect(who).toMatchObject([
      { uri: other.uri, isMember: false, rule: APP, isAllowed: false },
      { uri: member.uri, isMember: true, rule: WEB, isAllowed: true },
    ])
    expect(whoIsCovered(tenant.store, ring(id), [], tenant.clock.now)[1]!.rule).toBe(null)
  })
})

describe('a request that no rule covers', () => {
  it('[request-4] waits, is granted by its URI once it is approved, and no other device by that', async () => {
    const id = make('secret', [WEB], true)
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    const first = await ask(ada, [id])
    expect(first.refused).toMatchObject([{ kind: 'pending' }])
    expect(said(first.refusals[0])).toMatchObject({ kind: 'pending' })
    await ask(ben, [id])
    await ask(ada, [id])
    const [one, two] = listRequests(tenant.store)
    expect([one!.uri, two!.uri]).toEqual([ada.uri, ben.uri])
    expect(await grant()).toEqual([])
    approveRequest(tenant.store, one!.id, tenant.clock.now)
    expect(await grant()).toEqual([{ uri: ada.uri, keyrings: ['secret'] }])
    expect([await isIn(id, ada), await isIn(id, ben)]).toEqual([true, false])
    expect(listRequests(tenant.store).map(({ uri }) => uri)).toEqual([ben.uri])
    await expectCode(() => approveRequest(tenant.store, 99, tenant.clock.now), 'ERR_NOT_FOUND')
  })

  it('[request-4] is not granted by a package that was replaced, or ended, since', async () => {
    const id = make('secret', [WEB], true)
    const ada = await makeClient(tenant, 'ada')
    await ask(ada, [id])
    const next = { ...ada, ...(await makePackage(tenant, ada, 2)) }
    await ask(next)
    approveRequest(tenant.store, listRequests(tenant.store)[0]!.id, tenant.clock.now)
    expect(await grant()).toEqual([])
    expect(await isIn(id, ada)).toBe(false)
    // It asks again, and the rule is there.
    expect((await ask(next, [id])).granted).toEqual(['secret'])
  })

  it('is denied with a reason, signed, once and with every later request', async () => {
    const id = make('secret', [WEB], true)
    const ada = await makeClient(tenant, 'ada')
    await ask(ada, [id])
    const { store, keys, trust, clock } = tenant
    denyRequest(store, listRequests(store)[0]!.id, 'ask your lead', clock.now)
    const [word] = dueDenials(store, clock.now)
    const refusal = await signRefusal(store, keys, trust, word!.word, clock.now)
    expect(said(refusal)).toMatchObject({
      kind: 'denied',
      reason: 'ask your lead',
      recipient: base64url(sha256(ada.certificates[0]!)),
    })
    word!.isTold()
    expect(dueDenials(store, clock.now)).toEqual([])
    expect((await ask(ada, [id])).refused).toMatchObject([
      { kind: 'denied', reason: 'ask your lead' },
    ])
    clock.now += 30 * DAY + 1
    forgetPending(store, clock.now)
    expect(listRequests(store)).toEqual([])
  })

  it('is denied, in the words for a keyring that is not there, where nobody said that it waits, and above the limits', async () => {
    const id = make('secret')
    const ada = await makeClient(tenant, 'ada')
    const { refused } = await ask(ada, [id, random(16)])
    expect(new Set(refused.map(({ kind, reason }) => kind + reason)).size).toBe(1)
    const open = make('open', [WEB], true)
    for (let i = 0; i < 1_000; i++)
      tenant.store.run(
        "INSERT INTO pending (device, keyring, uri, package, recipient, nonce, asked, state, reason, told) VALUES (?, ?, '', X'', X'', X'', 0, 'waiting', '', 0)",
        random(32),
        open,
      )
    expect((await ask(ada, [open])).refused).toMatchObject([{ kind: 'denied' }])
    tenant.store.run('DELETE FROM pending')
    for (let i = 0; i < 17; i++) {
      const { refused: next } = await ask(ada, [make(`k${i}`, [WEB], true)])
      expect(next).toMatchObject([{ kind: i < 16 ? 'pending' : 'denied' }])
    }
  })
})
