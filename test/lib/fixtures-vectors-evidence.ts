/** Vectors of evidence: heads that contradict each other, and such as do not. */
import { encodeJson } from '../../shared/json.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { type DeliveredKeyring } from '../../shared/delivery.ts'
import { type EvidenceBody } from '../../shared/evidence.ts'
import { releaseLeaf } from '../../shared/log.ts'
import { decodeRelease, type HeadBody } from '../../shared/release.ts'
import { proveLeaf, treeRoot } from '../../shared/tree.ts'
import { makeDelivery, type World } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { makeTenant, NOW } from './fixtures.ts'

export async function evidenceVectors(world: World): Promise<object> {
  const { tenant } = world
  const sign = async (change: Partial<HeadBody> = {}) =>
    (await makeDelivery(world, { head: (body) => ({ ...body, ...change }) })).head
  const known = await sign()
  const { version, issuedAt, expiresAt } = JSON.parse(
    new TextDecoder().decode(known.payload),
  ) as HeadBody
  const body: EvidenceBody = {
    at: NOW,
    crls: world.crls,
    known,
    other: await sign({ log: { root: seeded('other log'), size: 1 } }),
    tenant: tenant.trust.tenant,
    trust: [tenant.trust.envelope],
  }
  const item = (comment: string, edit: object, expect: Vector['expect'], kind?: string) =>
    vector(
      comment,
      { file: base64url(encodeJson({ ...body, ...edit })), tenant: tenant.trust.tenant },
      expect,
      kind === undefined ? undefined : { kind },
    )
  const against = async (comment: string, change: Partial<HeadBody>, kind?: string) =>
    item(comment, { other: await sign(change) }, kind === undefined ? 'ERR_UNPROVEN' : 'ok', kind)
  const later = { version: version + 1 }
  const signature = known.signatures[0]!
  const bent = { ...signature, sig: signature.sig.with(0, signature.sig[0]! ^ 1) }
  const other = await makeTenant('other')
  // A log in which the release of the first keyring stands where it says, and the same log with another entry there.
  const delivery = await makeDelivery(world)
  const [first] = delivery.keyrings as [DeliveredKeyring]
  const { log: place, ...release } = decodeRelease(first.release)
  const log = Array.from({ length: 41 }, (_, i) =>
    i === place ? releaseLeaf(release) : seeded(`entry ${i}`),
  )
  const forged = log.with(place, seeded('another entry'))
  const underLog = (leaves: Bytes[], change: Partial<HeadBody> = {}) =>
    sign({ log: { root: treeRoot(leaves), size: leaves.length }, ...change })
  const entry = async (leaves: Bytes[], i: number, change: Partial<HeadBody> = {}) => ({
    head: await underLog(leaves, { ...later, ...change }),
    leaf: leaves[i]!,
    of: 'log',
    proof: proveLeaf(leaves, i),
  })
  const shown = async (leaves: Bytes[]) => ({
    head: await underLog(leaves),
    leaf: first.release,
    of: 'releases',
    proof: first.releaseProof,
  })
  return {
    comment: 'Each file is checked with the tenant id alone; `kind` is what it proves.',
    cases: [
      item('[evidence-3] two heads of one version', {}, 'ok', 'fork'),
      await against(
        '[evidence-3] a later head under an earlier catalog',
        { ...later, catalog: { hash: seeded('catalog'), number: 1 } },
        'regression',
      ),
      await against(
        '[evidence-3] a head that lives longer than the trust document allows',
        { ...later, expiresAt: expiresAt + 1_000_000 },
        'lifetime',
      ),
      await against(
        '[evidence-3] a head of another incarnation than that of the trust document which it names',
        { ...later, incarnation: 2 },
        'incarnation',
      ),
      await against(
        '[evidence-3] a head that names another trust document of the same number',
        { ...later, trust: { hash: seeded('trust'), number: 1 } },
        'trust',
      ),
      await against(
        '[evidence-3] a head that never lives',
        { ...later, expiresAt: issuedAt },
        'lifetime',
      ),
      await against('[evidence-3] a later head', later),
      await against('[evidence-3] a head under a trust document that is not in the file', {
        ...later,
        trust: { hash: seeded('trust'), number: 2 },
      }),
      item('[evidence-3] the same head twice', { other: known }, 'ERR_UNPROVEN'),
      item('[evidence-2] of another tenant', { tenant: other.trust.tenant }, 'ERR_TENANT'),
      item(
        '[evidence-2] under the trust document of another tenant',
        { trust: [other.trust.envelope] },
        'ERR_TENANT',
      ),
      item(
        '[evidence-2] a head whose signature does not verify',
        { known: { ...known, signatures: [bent] } },
        'ERR_SIGNATURE',
      ),
      item('[evidence-2] without revocation lists', { crls: [] }, 'ERR_CRL'),
      item('[evidence-1] with a field that nobody knows', { more: 1 }, 'ERR_SCHEMA'),
      await against(
        '[evidence-3] another log of the same size',
        { ...later, log: { root: seeded('other log'), size: 41 } },
        'log',
      ),
      item(
        '[evidence-5] another entry in the place of a release',
        { known: await shown(forged), other: await entry(forged, place) },
        'ok',
        'unlogged',
      ),
      item(
        '[evidence-5] a release whose entry the log cannot have',
        { known: await shown(log.slice(0, place)), other: await entry(log, 0) },
        'ok',
        'unlogged',
      ),
      item(
        '[evidence-5] logs with different entries at one index',
        { known: await entry(log, place), other: await entry(forged, place) },
        'ok',
        'log',
      ),
      item(
        '[evidence-5] a release in its place',
        { known: await shown(log), other: await entry(log, place) },
        'ERR_UNPROVEN',
      ),
      item(
        '[evidence-5] logs of two incarnations',
        { known: await entry(log, place), other: await entry(forged, place, { incarnation: 2 }) },
        'ERR_UNPROVEN',
      ),
      item(
        '[evidence-4] an entry that is not in the log',
        {
          known: await shown(log),
          other: { ...(await entry(log, place)), leaf: seeded('another entry') },
        },
        'ERR_HASH',
      ),
    ],
  }
}
