/** Vectors of destruction records. */
import { KEYRINGS, type World } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import { toJson, verifyContext } from './fixtures-vectors-signed.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, NOW, signAs, type Identity } from './fixtures.ts'

export async function destructionVectors(world: World): Promise<object> {
  const { tenant, deriver, alice } = world
  const erasedAt = NOW - 30 * DAY - 120
  const record = {
    completedAt: NOW,
    erasedAt,
    keyId: seeded('key id'),
    keyring: KEYRINGS[0]!,
    orderedAt: erasedAt - 5,
    retention: 0,
    signer: deriver.fingerprint,
    tenant: tenant.trust.tenant,
    version: { incarnation: 1, version: 3 },
  }
  const make = async (
    comment: string,
    edit: object,
    expect: Vector['expect'],
    signer: Identity = deriver,
  ) =>
    vector(
      comment,
      { envelope: toJson(await signAs(signer, 'destruction', { ...record, ...edit })) },
      expect,
    )
  return {
    comment: 'Each record is verified at the time that it names, with these lists.',
    context: verifyContext(world),
    cases: [
      await make('30 days and twice the skew after the last salt was erased', {}, 'ok'),
      await make('with backups that are kept for a shorter time', { retention: DAY }, 'ok'),
      await make(
        '[destruction-1] signed by a client',
        { signer: alice.fingerprint },
        'ERR_PATH_INVALID',
        alice,
      ),
      await make(
        '[destruction-1] at a time after the end of the certificate',
        { completedAt: NOW + 61 * DAY },
        'ERR_CERT_EXPIRED',
      ),
      await make('[destruction-2] a second too early', { erasedAt: erasedAt + 1 }, 'ERR_LIFETIME'),
      await make(
        '[destruction-2] while backups are kept',
        { retention: 30 * DAY + 121 },
        'ERR_LIFETIME',
      ),
      await make(
        '[destruction-2] erased before it was ordered',
        { orderedAt: erasedAt + 1 },
        'ERR_LIFETIME',
      ),
    ],
  }
}
