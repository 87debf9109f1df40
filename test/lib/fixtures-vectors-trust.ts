/** Vectors of trust documents: genesis, succession, floors. */
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { signWithAuthority, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { type World } from './fixtures-delivery.ts'
import { makeEd25519, seeded } from './fixtures-keys.ts'
import { toJson } from './fixtures-vectors-signed.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, makeTenant, NOW, signSuccessor, trustBody } from './fixtures.ts'

export async function trustVectors(world: World): Promise<object> {
  const { tenant } = world
  const genesis = tenant.trust.envelope
  const fresh = await Promise.all([1, 2].map((i) => makeEd25519(`fresh ${i}`)))
  const rotated = { keys: fresh.map((key) => key.spki), threshold: 2 }
  const two = tenant.authority.slice(0, 2)
  const second = await signSuccessor(tenant, { authority: rotated }, [...two, ...fresh])
  const trust = await verifySuccessor(second, tenant.trust)
  const third = await signSuccessor({ ...tenant, trust, authority: fresh }, { incarnation: 2 })
  const fallen = await signSuccessor(
    { ...tenant, trust: await verifySuccessor(third, trust), authority: fresh },
    { incarnation: 1 },
  )
  const next = (edit: object, keys = two) => signSuccessor(tenant, edit, keys)
  const first = async (edit: object, keys = two): Promise<[Envelope, string]> => {
    const body = await trustBody(tenant.authority, tenant.derivers, tenant.clients)
    const envelope = await signWithAuthority('trust', { ...body, ...edit }, keys)
    return [envelope, tenantId(envelope)]
  }
  const item = (
    comment: string,
    documents: Envelope[],
    expect: Vector['expect'],
    more: object = {},
    output?: unknown,
  ) =>
    vector(
      comment,
      { tenant: tenant.trust.tenant, documents: documents.map(toJson), floor: null, ...more },
      expect,
      output,
    )
  const alone = async (comment: string, edit: object, code: Vector['expect'], keys = two) => {
    const [envelope, id] = await first(edit, keys)
    return item(comment, [envelope], code, { tenant: id })
  }
  const floor = (number: number, hash: Bytes) => ({ floor: { number, hash: base64url(hash) } })
  const { clients, derivers } = tenant.trust.body
  const [spki, other] = tenant.authority.map((key) => key.spki)
  const silent = (key: Bytes) => ({ authority: { keys: [spki!, other!, key], threshold: 2 } })
  const weak = new Uint8Array([...spki!.slice(0, 12), 1, ...new Uint8Array(31)])
  const short = spki!.slice(0, -1)
  const output = (newest: Envelope, number: number) => ({ number, hash: hex(documentHash(newest)) })
  const ok = output(third, 3)
  const dated = await next({ issuedAt: NOW + 61 })
  const mended = await signSuccessor(
    { ...tenant, trust: await verifySuccessor(dated, tenant.trust) },
    { issuedAt: NOW },
  )
  return {
    comment:
      'A client that knows nothing follows `documents` from genesis at `now`, its own or the common one. Tenant id = base32(document hash of the first).',
    now: NOW,
    cases: [
      item('genesis', [genesis], 'ok', {}, output(genesis, 1)),
      item(
        'three, with new authority keys and a new incarnation',
        [genesis, second, third],
        'ok',
        {},
        ok,
      ),
      item(
        'the same, with a floor',
        [genesis, second, third],
        'ok',
        floor(2, documentHash(second)),
        ok,
      ),
      item(
        '[trust-1] of another tenant',
        [(await makeTenant('other')).trust.envelope],
        'ERR_TENANT',
      ),
      await alone('[trust-1] one signature of two', {}, 'ERR_SIGNATURE', two.slice(1)),
      await alone('[trust-1] number 2', { number: 2 }, 'ERR_TRUST_DOCUMENT'),
      await alone(
        '[trust-1] fewer keys than the threshold',
        { authority: { keys: [spki], threshold: 2 } },
        'ERR_TRUST_DOCUMENT',
      ),
      item('[trust-2] one left out', [genesis, third], 'ERR_TRUST_DOCUMENT'),
      item(
        '[trust-2] another previous hash',
        [genesis, await next({ previous: seeded('x') })],
        'ERR_TRUST_DOCUMENT',
      ),
      item(
        '[trust-3] without the old keys',
        [genesis, await next({ authority: rotated }, fresh)],
        'ERR_SIGNATURE',
      ),
      item(
        '[trust-3] without the new keys',
        [genesis, await next({ authority: rotated }, two)],
        'ERR_SIGNATURE',
      ),
      item('[env-8] a key twice', [genesis, await next({}, [two[0]!, two[0]!])], 'ERR_SIGNATURE'),
      item(
        '[env-8] a stranger beside enough others',
        [genesis, await next({}, [...two, fresh[0]!])],
        'ERR_SIGNATURE',
      ),
      item('[env-9] one key of two', [genesis, await next({}, [two[1]!])], 'ERR_SIGNATURE'),
      item(
        '[trust-4] an incarnation that falls',
        [genesis, second, third, fallen],
        'ERR_TRUST_DOCUMENT',
      ),
      await alone(
        '[trust-5] 401 days',
        { issuedAt: NOW, expiresAt: NOW + 401 * DAY },
        'ERR_LIFETIME',
      ),
      await alone(
        '[trust-6] a rule for both roles',
        { clients: { ...clients, sans: derivers.sans } },
        'ERR_TRUST_DOCUMENT',
      ),
      item('[trust-7] below the floor', [genesis], 'ERR_ROLLBACK', floor(2, documentHash(second))),
      item(
        '[trust-7] another than the floor',
        [genesis, second],
        'ERR_FORK',
        floor(2, seeded('x')),
      ),
      await alone(
        '[trust-8] a key of small order, which signs nothing',
        silent(weak),
        'ERR_WEAK_KEY',
      ),
      await alone('[trust-8] a key of another kind', silent(short), 'ERR_CERT_PROFILE'),
      item(
        '[trust-8] a key of small order, in a successor',
        [genesis, await next(silent(weak))],
        'ERR_WEAK_KEY',
      ),
      item('[trust-9] the newest from 61 s on', [genesis, dated], 'ERR_FUTURE'),
      item('a second later', [genesis, dated], 'ok', { now: NOW + 1 }, output(dated, 2)),
      item(
        'one from the future, mended by the next',
        [genesis, dated, mended],
        'ok',
        {},
        output(mended, 3),
      ),
    ],
  }
}
