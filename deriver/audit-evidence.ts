/** Makes files of evidence out of logs, heads and deliveries that contradict each other (docs/PROTOCOL.md, "Evidence"). Each is checked before it is given out. */
import { type Delivery } from '../shared/delivery.ts'
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { type Envelope } from '../shared/envelope.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { encodeEvidence } from '../shared/evidence.ts'
import { sha256 } from '../shared/hash.ts'
import { encodeLogEvidence, verifyEvidenceFile, type Statement } from '../shared/log-evidence.ts'
import { releaseLeaf } from '../shared/log.ts'
import { decodeRelease, type Head } from '../shared/release.ts'
import { type AuditSource } from './audit-file.ts'
import { listsFor, type AuditReport } from './audit-verify.ts'
import { proveStreamed } from './log-tree.ts'

/** A file, and what it proves. */
export interface Made {
  file: Bytes
  what: string
}

/** The heads of a case, and what else they are verified with. */
interface Case {
  source: Pick<AuditSource, 'crls' | 'header' | 'trust'>
  heads: readonly [Head, Head]
}

/** Times at which both heads can be verified: one at which a list covers the signers of both. */
function frame({ source, heads }: Case): { at: number; crls: Bytes[] }[] {
  const known = new Map(source.crls.map((der) => [hex(sha256(der)), der]))
  const lists = heads.flatMap(({ body }) => listsFor(body, known))
  const crls = [...new Map(lists.map((der) => [hex(sha256(der)), der])).values()].slice(0, 64)
  return heads.map(({ body }) => ({ at: body.issuedAt, crls })).toSorted((a, b) => b.at - a.at)
}

/** The first file that proves something. */
async function prove(
  one: Case,
  encode: (common: { at: number; crls: Bytes[]; tenant: string; trust: Envelope[] }) => Bytes,
): Promise<Made | null> {
  const { trust, header } = one.source
  for (const when of frame(one)) {
    const file = encode({ ...when, tenant: header.tenant, trust })
    try {
      return { file, what: (await verifyEvidenceFile(file, header.tenant)).what }
    } catch (error) {
      if (!isKeyferryError(error)) throw error
    }
  }
  return null
}

/** From two heads that contradict each other in what they say: a version, a size of the log, or numbers that fell. */
export async function evidenceOfHeads(
  source: AuditSource,
  { contradicted, witnesses }: AuditReport,
): Promise<Made | null> {
  for (const { head: other } of contradicted) {
    for (const { head: known } of witnesses) {
      const { log } = known.body
      const isFar = log.size < other.body.log.size === known.body.version < other.body.version
      const isNear = log.size === other.body.log.size || known.body.version === other.body.version
      if (known === other || (isFar && !isNear)) continue
      const made = await prove({ source, heads: [known, other] }, (common) =>
        encodeEvidence({ ...common, known: known.envelope, other: other.envelope }),
      )
      if (made !== null) return made
    }
  }
  return null
}

/** The first entry in which two logs differ, if there is one in both. */
function firstDifference(one: AuditSource, two: AuditSource): number | null {
  const others = two.leaves()[Symbol.iterator]()
  let index = 0
  for (const leaf of one.leaves()) {
    const { value, done } = others.next()
    if (done === true) return null
    if (!equal(leaf, value)) return index
    index++
  }
  return null
}

/** That an entry stands in the log under a head, which that log agrees with. */
function entryStatement(source: AuditSource, { body, envelope }: Head, index: number): Statement {
  const { leaf, proof } = proveStreamed(source.leaves(), index, body.log.size)
  return { head: envelope, leaf, of: 'log', proof }
}

/** Heads that a log agrees with and that show an entry, newest first. */
function showing(report: AuditReport, index: number): Head[] {
  const against = new Set(report.contradicted.map(({ head }) => head))
  return report.witnesses
    .map(({ head }) => head)
    .filter((head) => !against.has(head) && head.body.log.size > index)
    .toSorted((a, b) => b.body.version - a.body.version)
}

/** From two logs that have different entries at one index, each under heads that agree with it. */
export async function evidenceOfLogs(
  one: { source: AuditSource; report: AuditReport },
  two: { source: AuditSource; report: AuditReport },
): Promise<{ index: number; made: Made | null } | null> {
  const index = firstDifference(one.source, two.source)
  if (index === null) return null
  for (const known of showing(one.report, index)) {
    const other = showing(two.report, index).find(
      ({ body }) => body.incarnation === known.body.incarnation,
    )
    if (other === undefined) continue
    const statements = {
      known: entryStatement(one.source, known, index),
      other: entryStatement(two.source, other, index),
    }
    const crls = [...one.source.crls, ...two.source.crls]
    const trust = [one.source, two.source].toSorted((a, b) => b.header.trust - a.header.trust)[0]!
    const source = { crls, header: one.source.header, trust: trust.trust }
    const made = await prove({ source, heads: [known, other] }, (common) =>
      encodeLogEvidence({ ...common, ...statements }),
    )
    return { index, made }
  }
  return { index, made: null }
}

/** A release that a client was delivered and that the log does not have. */
export interface Unlogged {
  what: string
  made: Made | null
}

/** Holds the releases of a delivery, whose head was verified, against a log. */
export async function unloggedOf(
  delivery: Delivery,
  head: Head,
  source: AuditSource,
  report: AuditReport,
): Promise<Unlogged[]> {
  const out: Unlogged[] = []
  for (const { release: leaf, releaseProof: proof } of delivery.keyrings) {
    const release = decodeRelease(leaf)
    const { log: index } = release
    const released: Statement = { head: head.envelope, leaf, of: 'releases', proof }
    const found = entryAt(source, index)
    if (found !== undefined && equal(found, releaseLeaf(release))) continue
    const what = `entry ${index} is not that of the release of keyring ${hex(release.keyring)}`
    const shown = showing(report, index).find(
      ({ body }) => body.incarnation === head.body.incarnation,
    )
    const isBeyond = index >= head.body.log.size
    const other = isBeyond ? head : shown
    const made =
      other === undefined
        ? null
        : await prove({ source, heads: [head, other] }, (common) =>
            encodeLogEvidence({
              ...common,
              known: released,
              other: isBeyond ? released : entryStatement(source, other, index),
            }),
          )
    out.push({ what, made })
  }
  return out
}

function entryAt(source: AuditSource, index: number): Bytes | undefined {
  let at = 0
  for (const leaf of source.leaves()) if (at++ === index) return leaf
  return undefined
}
