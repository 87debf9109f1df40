/** Evidence about the log: what a deriver's key cannot have signed honestly is proven; what it signed honestly never is, however it is put together or bent. */
import { beforeAll, describe, expect, it } from 'vitest'
import { encodeEvidence } from '../../shared/evidence.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson } from '../../shared/json.ts'
import {
  decodeLogEvidence,
  encodeLogEvidence,
  verifyEvidenceFile,
  verifyLogEvidence,
  type Statement,
} from '../../shared/log-evidence.ts'
import { decodeRelease, type Release } from '../../shared/release.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { entryOf, evidenceOf, history, releaseOf, showing, type Shown } from '../lib/log-history.ts'
import {
  issueSigner,
  makeCa,
  makeWorld,
  random,
  renewTrust,
  uriOf,
  type World,
} from '../lib/world.ts'
import { signHead } from '../lib/thief.ts'

let world: World
let heads: Shown[]
let last: Shown

beforeAll(async () => {
  world = await makeWorld()
  heads = (await history(world)).heads
  last = heads.at(-1)!
})

const verify = (known: Statement, other: Statement) =>
  verifyLogEvidence(evidenceOf(world, known, other), world.tenant)

/** A thief's head: the releases of the last one with the first changed, over a log that it chooses. */
async function forged(change: Partial<Release>, log: Bytes[] = last.log): Promise<Shown> {
  const [first, ...more] = last.releases.map((bytes) => decodeRelease(bytes))
  const all = [{ ...first!, ...change }, ...more]
  return showing(
    world,
    last.body,
    log,
    all.map((one) => ({ keyring: one.keyring, bytes: encodeJson(one) })),
  )
}

describe('[evidence-5] a dishonest log', () => {
  it('that has another entry in the place of a release is proven, under the same head and under another', async () => {
    const thief = await forged({ generation: 99 })
    const { log } = decodeRelease(thief.releases[0]!)
    for (const shown of [thief, last, heads[2]!].filter((one) => one.log.length > log)) {
      const finding = await verify(releaseOf(thief, 0), entryOf(shown, log))
      expect(finding).toMatchObject({ kind: 'unlogged', trust: { number: 1 } })
      expect(finding.signers).toEqual([sha256(world.deriver.certificates[0]!)])
      expect(await verify(entryOf(shown, log), releaseOf(thief, 0))).toMatchObject({
        kind: 'unlogged',
      })
    }
  })

  it('that cannot have the entry of a release is proven by that release', async () => {
    const thief = await forged({ log: last.log.length })
    const release = releaseOf(thief, 0)
    for (const [known, other] of [
      [release, release],
      [entryOf(last, 0), release],
    ] as const)
      expect(await verify(known, other)).toMatchObject({ kind: 'unlogged' })
  })

  it('with one entry for two releases is proven', async () => {
    const [one, two] = last.releases.map((bytes) => decodeRelease(bytes).log)
    expect(one).not.toBe(two)
    const thief = await forged({ log: two! })
    expect(await verify(releaseOf(thief, 0), releaseOf(thief, 1))).toMatchObject({
      kind: 'unlogged',
    })
  })

  it('that is not the one of another head is proven by the first entries that differ', async () => {
    const other = [...last.log.slice(0, 2), encodeJson({ event: 'x' }), ...last.log.slice(3)]
    const thief = await showing(world, last.body, other, [])
    expect(await verify(entryOf(last, 2), entryOf(thief, 2))).toMatchObject({ kind: 'log' })
    // Longer, shorter, and whichever comes first.
    expect(await verify(entryOf(thief, 2), entryOf(heads[3]!, 2))).toMatchObject({ kind: 'log' })
    await expectCode(verify(entryOf(last, 1), entryOf(thief, 1)), 'ERR_UNPROVEN')
    await expectCode(verify(entryOf(last, 1), entryOf(thief, 2)), 'ERR_UNPROVEN')
  })

  it('is no contradiction across incarnations: a restored log goes on from an earlier one', async () => {
    const own = await makeWorld()
    const { heads: before } = await history(own)
    await renewTrust(own, { incarnation: 2 })
    own.log.splice(1, own.log.length)
    const { heads: after } = await history(own)
    const [old, young] = [before.at(-1)!, after.at(-1)!]
    const check = (known: Statement, other: Statement) =>
      verifyLogEvidence(evidenceOf(own, known, other), own.tenant)
    expect(old.log[1]).not.toEqual(young.log[1])
    await expectCode(check(entryOf(old, 1), entryOf(young, 1)), 'ERR_UNPROVEN')
    // The same in one incarnation is a contradiction.
    const body = { ...young.body, incarnation: 1 }
    const again = await showing(own, body, young.log, [])
    expect(await check(entryOf(old, 1), entryOf(again, 1))).toMatchObject({ kind: 'log' })
  })
})

describe('[evidence-4] a statement', () => {
  it('that its head does not commit to is ERR_HASH', async () => {
    const good = entryOf(last, 0)
    const other = entryOf(last, 1)
    const release = releaseOf(last, 0)
    const bad: Statement[] = [
      { ...good, leaf: other.leaf },
      { ...good, proof: other.proof },
      { ...good, proof: { ...good.proof, index: last.log.length } },
      { ...good, head: heads[0]!.head },
      { ...release, head: heads[0]!.head },
      { ...release, proof: releaseOf(last, 1).proof },
      { ...release, leaf: last.releases[1]! },
    ]
    for (const one of bad) {
      await expectCode(verify(one, other), 'ERR_HASH')
      await expectCode(verify(other, one), 'ERR_HASH')
    }
  })

  it('of a release that names another tenant or incarnation than its head is none', async () => {
    const tenant = 'a'.repeat(52)
    await expectCode(verify(releaseOf(await forged({ tenant }), 0), entryOf(last, 0)), 'ERR_TENANT')
    const odd = await forged({ incarnation: 2, log: 9_999 })
    await expectCode(verify(releaseOf(odd, 0), entryOf(last, 0)), 'ERR_INCARNATION')
  })

  it('under a head that no deriver of the tenant signed is none', async () => {
    const { now } = world
    const stranger = await issueSigner(await makeCa('deriver', now), uriOf('deriver', 'x'), now)
    const signer = sha256(stranger.certificates[0]!)
    const head = await signHead({ ...last.body, signer }, stranger)
    await expectCode(verify({ ...entryOf(last, 0), head }, entryOf(last, 0)), 'ERR_PATH_INVALID')
    const other = await makeWorld({ now })
    await expectCode(
      verifyLogEvidence(evidenceOf(world, entryOf(last, 0), entryOf(last, 0)), other.tenant),
      'ERR_TENANT',
    )
  })

  it('reads as it was written, and in no other form', async () => {
    const file = encodeLogEvidence(evidenceOf(world, entryOf(last, 0), releaseOf(last, 0)))
    expect(encodeLogEvidence(decodeLogEvidence(file))).toEqual(file)
    await expectCode(() => decodeLogEvidence(new Uint8Array(8_388_609)), 'ERR_TOO_LARGE')
    await expectCode(
      verifyEvidenceFile(encodeJson({ known: { of: 'log' } }), world.tenant),
      'ERR_SCHEMA',
    )
    await expectCode(verifyEvidenceFile(encodeJson('x'), world.tenant), 'ERR_SCHEMA')
  })
})

/** Every value one step beside a JSON value. */
function* beside(value: unknown): Generator {
  if (typeof value === 'number') {
    yield value + 1
    if (value > 0) yield value - 1
  } else if (typeof value === 'string') {
    for (const at of new Set([0, Math.floor(value.length / 2), value.length - 1])) {
      const other = value[at] === 'A' ? 'B' : 'A'
      yield value.slice(0, at) + other + value.slice(at + 1)
    }
    yield value === 'log' ? 'releases' : value === 'releases' ? 'log' : ''
  } else if (Array.isArray(value)) {
    yield value.slice(0, -1)
    yield [...(value as unknown[]), ...(value as unknown[])]
    for (const [i, one] of value.entries())
      for (const other of beside(one)) yield value.with(i, other)
  } else {
    for (const [name, one] of Object.entries(value as object))
      for (const other of beside(one)) yield { ...(value as object), [name]: other }
  }
}

async function isProven(file: Bytes, tenant: string): Promise<boolean> {
  try {
    await verifyEvidenceFile(file, tenant)
    return true
  } catch (error) {
    if (isKeyferryError(error)) return false
    throw error
  }
}

describe('an honest deriver', () => {
  it('[evidence-5] is not accused by any two things that its heads commit to', async () => {
    const all = heads.flatMap((shown) => [
      ...shown.log.map((_, i) => entryOf(shown, i)),
      ...shown.releases.map((_, i) => releaseOf(shown, i)),
    ])
    for (const known of all)
      for (const other of [all[0]!, ...all.filter((one) => one.leaf === known.leaf), all.at(-1)!])
        await expectCode(verify(known, other), 'ERR_UNPROVEN')
    // A release against the entries of every head, at its own index too.
    for (const shown of heads)
      for (const place of shown.releases.keys())
        for (const entry of last.log.keys())
          await expectCode(verify(releaseOf(shown, place), entryOf(last, entry)), 'ERR_UNPROVEN')
  })

  it('[evidence-3] [evidence-5] is not accused by any file one step beside honest ones', async () => {
    const { log } = decodeRelease(last.releases[0]!)
    const files = [
      encodeLogEvidence(evidenceOf(world, releaseOf(last, 0), entryOf(last, log))),
      encodeLogEvidence(evidenceOf(world, entryOf(heads[2]!, 1), entryOf(last, 1))),
      encodeEvidence({
        ...evidenceOf(world, entryOf(last, 0), entryOf(last, 0)),
        known: heads[2]!.head,
        other: last.head,
      }),
    ]
    let count = 0
    for (const file of files) {
      expect(await isProven(file, world.tenant)).toBe(false)
      for (const other of beside(JSON.parse(new TextDecoder().decode(file)))) {
        expect(await isProven(encodeJson(other), world.tenant)).toBe(false)
        count++
      }
    }
    expect(count).toBeGreaterThan(300)
  })

  it('[evidence-5] is not accused by what a relay makes up', async () => {
    const made = encodeJson({ event: 'device-denied', device: random(32), time: 1, uri: '' })
    for (const index of [0, 1, last.log.length]) {
      const proof = { ...entryOf(last, 0).proof, index }
      const other: Statement = { head: last.head, leaf: made, of: 'log', proof }
      await expectCode(verify(entryOf(last, 0), other), 'ERR_HASH')
    }
  })
})
