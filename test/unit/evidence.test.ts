/** Evidence: what a client keeps of a contradiction, and what a stranger makes of it with nothing but the tenant id. */
import { describe, expect, it } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import {
  decodeEvidence,
  encodeEvidence,
  verifyEvidence,
  type EvidenceBody,
} from '../../shared/evidence.ts'
import { sha256 } from '../../shared/hash.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { type HeadBody } from '../../shared/release.ts'
import { decodeTrust } from '../../shared/trust.ts'
import { type Evidence } from '../../web/store.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { signHead } from '../lib/thief.ts'
import {
  crlsOf,
  issueSigner,
  makeCa,
  makeTrust,
  makeWorld,
  random,
  renewTrust,
  uriOf,
} from '../lib/world.ts'

/** What a client has, after it was shown this head in place of the true one, which follows the one that it accepted. */
async function shown(
  change: (body: HeadBody, relay: ClientRelay) => object,
  prepare: (relay: ClientRelay) => Promise<void> = async () => {},
): Promise<{ relay: ClientRelay; evidence: readonly Evidence[]; code: string }> {
  const relay = await ClientRelay.start()
  await prepare(relay)
  const client = await openClient(relay)
  await client.keyring('notes')
  await relay.publish()
  await client.refresh()
  await relay.publish()
  relay.twist = async (delivery) => ({
    ...delivery,
    head: await signHead(change(relay.publication!.body, relay), relay.world.deriver),
  })
  const code = await client.refresh().then(
    () => 'none',
    (error: { code: string }) => error.code,
  )
  return { relay, evidence: client.evidence, code }
}

/** A fork, as a client keeps it. */
async function fork(): Promise<{ relay: ClientRelay; file: Bytes; body: EvidenceBody }> {
  const { relay, evidence } = await shown((body) => ({ ...body, version: body.version - 1 }))
  const [{ file }] = evidence as [Evidence]
  return { relay, file, body: decodeEvidence(file) }
}

describe('[evidence-3] a contradiction', () => {
  it.each([
    ['fork', 'ERR_FORK', (body: HeadBody) => ({ ...body, version: body.version - 1 })],
    [
      'regression',
      'ERR_HASH',
      (body: HeadBody) => ({ ...body, catalog: { ...body.catalog, number: 1 } }),
    ],
    [
      'lifetime',
      'ERR_LIFETIME',
      (body: HeadBody) => ({ ...body, expiresAt: body.issuedAt + 3_601 }),
    ],
    ['incarnation', 'ERR_INCARNATION', (body: HeadBody) => ({ ...body, incarnation: 2 })],
    [
      'trust',
      'ERR_FORK',
      (body: HeadBody) => ({ ...body, trust: { number: 1, hash: random(32) } }),
    ],
  ] as const)(
    '%s is refused by the client and proven to a stranger',
    async (kind, code, change) => {
      const made = await shown(change)
      expect([made.code, made.evidence.map((one) => one.code)]).toEqual([code, [code]])
      const { world } = made.relay
      const finding = await verifyEvidence(decodeEvidence(made.evidence[0]!.file), world.tenant)
      expect(finding.kind).toBe(kind)
      expect(finding.signers).toEqual([sha256(world.deriver.certificates[0]!)])
    },
  )

  it('of a revocation list, a trust document or the log that fell', async () => {
    const { body, relay } = await fork()
    const { world, publication } = relay
    const signed = (change: Partial<HeadBody>): Promise<Envelope> =>
      signHead({ ...publication!.body, ...change, version: 100 }, world.deriver)
    const finding = async (known: Partial<HeadBody>, other: Partial<HeadBody>): Promise<string> => {
      const heads = { known: await signed({ ...known }), other: await signed(other) }
      const { version, ...rest } = publication!.body
      const later = await signHead({ ...rest, ...other, version: version + 1_000 }, world.deriver)
      return (await verifyEvidence({ ...body, ...heads, other: later }, world.tenant)).what
    }
    const [first, ...more] = publication!.body.crls
    const crls = [{ ...first!, number: first!.number + 1 }, ...more]
    expect(await finding({ crls }, {})).toMatch(/^revocation list of /)
    expect(await finding({ trust: { number: 2, hash: random(32) } }, {})).toBe(
      'trust document 1 after 2',
    )
    expect(await finding({ log: { root: random(32), size: 5 } }, {})).toBe('log 2 after 5')
  })

  it('of logs of one size that are not the same, in one incarnation', async () => {
    const { body, relay } = await fork()
    const { world, publication } = relay
    const { log, version } = publication!.body
    const check = async (change: Partial<HeadBody>) => {
      const later = { ...publication!.body, version: version + 9, ...change }
      const other = await signHead(later, world.deriver)
      return verifyEvidence({ ...body, other, trust: world.trusts }, world.tenant)
    }
    const known = JSON.parse(new TextDecoder().decode(body.known.payload)) as HeadBody
    expect(log.size).toBe(known.log.size)
    await expectCode(check({}), 'ERR_UNPROVEN')
    const odd = { log: { ...log, root: random(32) } }
    const what = `two different logs of ${log.size} entries`
    expect(await check(odd)).toMatchObject({ kind: 'log', what })
    await expectCode(check({ log: { size: log.size + 1, root: random(32) } }), 'ERR_UNPROVEN')
    await renewTrust(world, { incarnation: 2 })
    const trust = { number: 2, hash: documentHash(world.trusts[1]!) }
    await expectCode(check({ ...odd, incarnation: 2, trust }), 'ERR_UNPROVEN')
  })

  it('of catalogs counts only under the trust documents of the file, at both ends', async () => {
    const { body, relay } = await fork()
    const { world, publication } = relay
    const own = publication!.body
    const odd = {
      trust: { number: 1, hash: random(32) },
      catalog: { number: 99, hash: random(32) },
    }
    const known = await signHead({ ...own, ...odd, version: 100 }, world.deriver)
    const other = await signHead({ ...own, version: 101 }, world.deriver)
    expect(await verifyEvidence({ ...body, known, other }, world.tenant)).toMatchObject({
      kind: 'trust',
    })
  })

  it('is none where both heads can be honest: nothing is kept, and nothing is proven', async () => {
    const { relay, body } = await fork()
    const { tenant } = relay.world
    const later = await signHead({ ...relay.publication!.body, version: 50 }, relay.world.deriver)
    for (const other of [later, body.known])
      await expectCode(verifyEvidence({ ...body, other }, tenant), 'ERR_UNPROVEN')
    // A relay that goes back shows what was honestly signed.
    const client = await openClient(relay)
    relay.twist = (delivery) => delivery
    await client.keyring('notes')
    const before = relay.publication!
    await relay.publish()
    await client.refresh()
    await relay.publish()
    relay.twist = (delivery) => ({ ...delivery, head: before.head, catalog: before.catalog })
    await expectCode(client.refresh(), 'ERR_ROLLBACK')
    expect(client.evidence).toEqual([])
  })

  it('is not counted across incarnations: numbers may begin anew', async () => {
    const { relay, body } = await fork()
    const { world } = relay
    await renewTrust(world, { incarnation: 2 })
    await relay.publish({ head: { version: 1, catalog: { number: 1, hash: random(32) } } })
    const heads = { ...body, other: relay.publication!.head, trust: world.trusts }
    await expectCode(verifyEvidence(heads, world.tenant), 'ERR_UNPROVEN')
  })
})

describe('[catalog-3] a replaced authority', () => {
  /** Heads before and after another key took the authority's place, with the trust documents between them. */
  const replaced = async (threshold: number, keep: boolean) => {
    const { relay, body } = await fork()
    const { world } = relay
    const key = await generateSigningKey('Ed25519', true)
    const own = world.trust.authority.keys
    const keys = keep ? [...own, key.spki] : [key.spki]
    await renewTrust(world, { authority: { keys, threshold } }, [...world.authority, key])
    const catalog = { number: 1, hash: random(32) }
    const before = await signHead(
      { ...relay.publication!.body, catalog: { number: 900, hash: random(32) } },
      world.deriver,
    )
    const trust = { number: 2, hash: documentHash(world.trusts[1]!) }
    const after = { ...relay.publication!.body, catalog, trust, version: 100 }
    const other = await signHead(after, world.deriver)
    return { world, body: { ...body, known: before, other, trust: world.trusts } }
  }

  it('begins the numbers of catalogs anew: that contradicts nothing, also where the documents are not shown', async () => {
    const { world, body } = await replaced(1, false)
    await expectCode(verifyEvidence(body, world.tenant), 'ERR_UNPROVEN')
    const short = { ...body, trust: body.trust.slice(0, 1) }
    await expectCode(verifyEvidence(short, world.tenant), 'ERR_UNPROVEN')
    // A thief of the earlier keys signs a second document with them: what he shows speaks of trust documents alone.
    const [genesis] = world.trusts as [Envelope]
    const trust = { ...decodeTrust(genesis), tenant: world.tenant }
    const forged = await makeTrust({ ...world, trust, trusts: [genesis] })
    const finding = await verifyEvidence(
      { ...body, trust: [genesis, forged.envelope] },
      world.tenant,
    )
    expect(finding).toMatchObject({ kind: 'trust', trust: { number: 2 } })
    expect(finding.trust.hash).toEqual(documentHash(forged.envelope))
  })

  it('is one that too few keys are left of: otherwise the numbers go on', async () => {
    const { world, body } = await replaced(1, true)
    const finding = await verifyEvidence(body, world.tenant)
    expect(finding).toMatchObject({ kind: 'regression', what: 'catalog 1 after 900' })
    const few = await replaced(2, true)
    await expectCode(verifyEvidence(few.body, few.world.tenant), 'ERR_UNPROVEN')
  })
})

describe('[evidence-2] evidence', () => {
  it('of another tenant, or under another genesis, is ERR_TENANT', async () => {
    const { body, relay } = await fork()
    const other = await makeWorld({ now: relay.now })
    await expectCode(verifyEvidence(body, other.tenant), 'ERR_TENANT')
    const moved = { ...body, tenant: other.tenant }
    await expectCode(verifyEvidence(moved, other.tenant), 'ERR_TENANT')
    await expectCode(verifyEvidence({ ...body, trust: other.trusts }, body.tenant), 'ERR_TENANT')
  })

  it('that nobody of the tenant’s derivers signed is none', async () => {
    const { body, relay } = await fork()
    const { now, world } = relay
    const stranger = await issueSigner(await makeCa('deriver', now), uriOf('deriver', 'x'), now)
    const made = await signHead(
      { ...relay.publication!.body, signer: sha256(stranger.certificates[0]!) },
      stranger,
    )
    const check = (change: Partial<EvidenceBody>) =>
      verifyEvidence({ ...body, ...change }, world.tenant)
    await expectCode(check({ other: made }), 'ERR_PATH_INVALID')
    await expectCode(check({ known: made }), 'ERR_PATH_INVALID')
    const [signature] = body.other.signatures
    const sig = signature!.sig.with(0, signature!.sig[0]! ^ 1)
    const bent = { ...body.other, signatures: [{ ...signature!, sig }] }
    await expectCode(check({ other: bent }), 'ERR_SIGNATURE')
    await expectCode(check({ crls: [] }), 'ERR_CRL')
    await expectCode(check({ at: now + 8 * 86_400 }), 'ERR_CRL')
  })

  it('a head that the relay made up leaves none at the client', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    await client.keyring('notes')
    const own = await issueSigner(
      await makeCa('deriver', relay.now),
      uriOf('deriver', 'x'),
      relay.now,
    )
    await relay.publish()
    relay.twist = async (delivery) => ({
      ...delivery,
      head: await signHead(relay.publication!.body, own),
    })
    await expectCode(client.refresh(), 'ERR_PATH_INVALID')
    expect(client.evidence).toEqual([])
  })
})

describe('[evidence-1] a file of evidence', () => {
  it('reads as it was written, and is refused in any other form', async () => {
    const { file, body } = await fork()
    expect(encodeEvidence(decodeEvidence(file))).toEqual(file)
    expect(body.trust).toHaveLength(1)
    const text = new TextDecoder().decode(file)
    const from = (other: string) => () => decodeEvidence(new TextEncoder().encode(other))
    await expectCode(from(text.replace('{', '{ ')), 'ERR_NOT_CANONICAL')
    await expectCode(from(text.replace(/"at":\d+,/, '')), 'ERR_SCHEMA')
    await expectCode(() => decodeEvidence(new Uint8Array(8_388_609)), 'ERR_TOO_LARGE')
  })

  it('holds the lists that its heads need, each once, and nothing that a relay adds', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    await client.keyring('notes')
    const { body } = relay.publication!
    const head = await signHead(
      { ...body, log: { root: random(32), size: 1 } },
      relay.world.deriver,
    )
    relay.twist = (delivery) => {
      const lists = [...delivery.crls, ...crlsOf(relay.world)]
      return { ...delivery, head, crls: Array.from({ length: 16 }, () => lists).flat() }
    }
    await relay.publish()
    await expectCode(client.refresh(), 'ERR_FORK')
    expect(decodeEvidence(client.evidence[0]!.file).crls).toEqual([relay.world.cas.deriver.crl])
  })

  it('holds the trust documents that came with the head, where only they prove it', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    await client.keyring('notes')
    await renewTrust(relay.world)
    await relay.publish()
    const { body } = relay.publication!
    const head = await signHead({ ...body, expiresAt: body.issuedAt + 3_601 }, relay.world.deriver)
    relay.twist = (delivery) => ({ ...delivery, head })
    await expectCode(client.refresh(), 'ERR_LIFETIME')
    const [{ file }] = client.evidence as [Evidence]
    expect(decodeEvidence(file).trust).toEqual(relay.world.trusts)
    // Documents that do not follow take nothing away.
    const twin = await signHead({ ...body, version: body.version - 1 }, relay.world.deriver)
    relay.twist = (delivery) => ({ ...delivery, head: twin, trust: relay.world.trusts })
    await expectCode(client.refresh(), 'ERR_TENANT')
    expect(client.evidence.map((one) => one.code)).toEqual(['ERR_LIFETIME', 'ERR_TENANT'])
  })

  it('is kept once for each head, and no more than eight', async () => {
    const relay = await ClientRelay.start()
    const client = await openClient(relay)
    await client.keyring('notes')
    await relay.publish()
    await client.refresh()
    const { body } = relay.publication!
    for (let i = 0; i < 10; i++) {
      const size = Math.max(1, i)
      const head = await signHead(
        { ...body, log: { root: new Uint8Array(32), size } },
        relay.world.deriver,
      )
      relay.twist = (delivery) => ({ ...delivery, head })
      await relay.publish()
      await expectCode(client.refresh(), 'ERR_FORK')
      // The first two are one.
      expect(client.evidence).toHaveLength(Math.min(size, 8))
    }
    expect(client.evidence).toHaveLength(8)
  })
})
