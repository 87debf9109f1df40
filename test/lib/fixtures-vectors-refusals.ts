/** Vectors of refusals: what a client takes as a deriver's word, and what proves nothing. */
import { base64url, hex } from '../../shared/bytes.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { KEYRINGS, type World } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import { toJson, verifyContext } from './fixtures-vectors-signed.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { makeCrl, NOW, signAs, type Identity } from './fixtures.ts'

export async function refusalVectors(world: World): Promise<object> {
  const { tenant, deriver, alice } = world
  const [nonce, release] = [seeded('nonce', 16), seeded('release')]
  const nothing = new Uint8Array()
  const denied = {
    expiresAt: NOW + 3_590,
    head: { incarnation: 1, version: 58 },
    issuedAt: NOW - 10,
    keyring: KEYRINGS[0]!,
    kind: 'denied',
    nonce,
    reason: 'no rule covers this client',
    recipient: alice.fingerprint,
    release: nothing,
    signer: deriver.fingerprint,
    tenant: tenant.trust.tenant,
  }
  const wanted = { ...denied, kind: 'package', nonce: nothing, release: seeded('package') }
  const removed = { ...denied, kind: 'removed', nonce: nothing, release }
  const make = async (
    comment: string,
    body: object,
    expect: Vector['expect'],
    more: object = {},
    signer: Identity = deriver,
  ) =>
    vector(
      comment,
      { envelope: toJson(await signAs(signer, 'refusal', body)), ...more },
      expect,
      expect === 'ok' ? { kind: (body as { kind: string }).kind } : undefined,
    )
  const say = (comment: string, edit: object, expect: Vector['expect'], more: object = {}) =>
    make(comment, { ...denied, ...edit }, expect, more)
  const remove = (comment: string, edit: object, expect: Vector['expect'], more: object = {}) =>
    make(comment, { ...removed, ...edit }, expect, more)
  const shown = (version: number, hash = seeded('earlier release')) => ({
    shown: { head: { incarnation: 1, version }, release: hex(hash) },
  })
  const { serial } = parseCertificate(deriver.certificates[0]!)
  const revoking = await makeCrl(tenant.derivers, 2, [serial])
  return {
    comment:
      'A client that accepted `head` and asked for `keyring` with `nonce` is given each envelope. `package` is the hash of its newest key package; `crls` are those of the delivery that the head names; `isMember`: a leaf under the head shows the client; `shown`: what last did. What an input has replaces what the context has.',
    context: {
      ...verifyContext(world),
      recipient: hex(alice.fingerprint),
      keyring: hex(KEYRINGS[0]!),
      nonce: hex(nonce),
      head: { incarnation: 1, version: 58 },
      package: hex(seeded('package')),
      isMember: false,
      shown: null,
    },
    cases: [
      await say('denied', {}, 'ok'),
      await say('pending', { kind: 'pending' }, 'ok'),
      await remove('removed', {}, 'ok'),
      await remove(
        'removed under an earlier head',
        { head: { incarnation: 1, version: 57 } },
        'ok',
      ),
      await remove('removed after it was shown', {}, 'ok', shown(57)),
      await make(
        '[refusal-1] signed by a client',
        { ...denied, signer: alice.fingerprint },
        'ERR_PATH_INVALID',
        {},
        alice,
      ),
      await say('[refusal-1] signed by a deriver that is revoked', {}, 'ERR_CERT_REVOKED', {
        crls: [base64url(revoking)],
      }),
      await say('[refusal-1] with no list that the head names', {}, 'ERR_CRL', { crls: [] }),
      await say(
        '[refusal-1] for another client',
        { recipient: world.members[0]!.fingerprint },
        'ERR_NOT_RECIPIENT',
      ),
      await say(
        '[refusal-1] of a keyring that was not asked for',
        { keyring: KEYRINGS[1]! },
        'ERR_KEYRING',
      ),
      await say('[refusal-2] denied without a nonce', { nonce: nothing }, 'ERR_SCHEMA'),
      await say('[refusal-2] denied with a release', { release }, 'ERR_SCHEMA'),
      await remove('[refusal-2] removed without a release', { release: nothing }, 'ERR_SCHEMA'),
      await remove('[refusal-2] removed with a nonce', { nonce }, 'ERR_SCHEMA'),
      await say('[refusal-2] of another request', { nonce: seeded('x', 16) }, 'ERR_UNPROVEN'),
      await remove(
        '[refusal-2] removed in another incarnation',
        { head: { incarnation: 2, version: 58 } },
        'ERR_UNPROVEN',
      ),
      await remove(
        '[refusal-2] removed by a head to come',
        { head: { incarnation: 1, version: 59 } },
        'ERR_UNPROVEN',
      ),
      await remove('[refusal-2] removed, against a member leaf', {}, 'ERR_UNPROVEN', {
        isMember: true,
      }),
      await remove(
        '[refusal-2] removed from the release that showed the client',
        {},
        'ERR_UNPROVEN',
        shown(57, release),
      ),
      await remove(
        '[refusal-2] removed before the client was shown again',
        {},
        'ERR_UNPROVEN',
        shown(58),
      ),
      await make('another key package is wanted', wanted, 'ok'),
      await make('the same of a member', wanted, 'ok', { isMember: true }),
      await make(
        '[refusal-4] another one than a package that was replaced since',
        { ...wanted, release: seeded('earlier package') },
        'ERR_UNPROVEN',
      ),
      await make('[refusal-2] a package with a nonce', { ...wanted, nonce }, 'ERR_SCHEMA'),
      await say('[refusal-3] 3,601 s', { expiresAt: NOW + 3_591 }, 'ERR_STALE'),
      await say('at the end of its life and the skew', {}, 'ok', { now: NOW + 3_650 }),
      await say('[refusal-3] a second later', {}, 'ERR_STALE', { now: NOW + 3_651 }),
      await say('[refusal-3] from the future', {}, 'ERR_FUTURE', { now: NOW - 71 }),
    ],
  }
}
