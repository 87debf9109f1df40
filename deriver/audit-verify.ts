/** Checks a log from end to end, offline: signatures of heads, the tree that they commit to, and whether its entries fit each other (docs/audit.md). */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { rememberSignatures } from '../shared/certificate-signature.ts'
import { type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { compareVersions } from '../shared/manifest.ts'
import { peekHead, verifyHeadSignature, type Head, type HeadBody } from '../shared/release.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { followTrust } from '../shared/trust-following.ts'
import { Follower } from './audit-entries.ts'
import { type AuditSource } from './audit-file.ts'
import { addLeaf, emptyFrontier, frontierRoot } from './log-tree.ts'

/** Heads that somebody else kept, such as a relay. */
export interface Kept {
  /** Who: for the report. */
  by: string
  heads: readonly Envelope[]
}

/** A head that was verified, and who had it. */
export interface Witness {
  by: string
  head: Head
}

/** What a check found. */
export interface AuditReport {
  tenant: string
  trust: { number: number; hash: Bytes }
  entries: number
  /** How many of the entries the newest head commits to. */
  shown: number
  heads: number
  /** What is wrong with the log. */
  problems: string[]
  /** What heads showed and a restored database lost: known, since an authority raised the incarnation. */
  lost: string[]
  /** Heads of others that could not be verified: they say nothing for or against the log. */
  unverified: string[]
  /** Heads of others that were signed after a file was written: its log does not reach so far. */
  later: string[]
  /** Verified heads that the log contradicts. */
  contradicted: Witness[]
  /** All verified heads. */
  witnesses: Witness[]
}

/** How a check goes on. */
export interface AuditOptions {
  /** Entries so far. */
  progress?: (done: number, of: number) => void
  /** The log is that of a file, which ends when it was written. Default: that of a store, which has to have everything that was ever signed. */
  isFile?: boolean
  signal?: AbortSignal
}

/** Problems that are told of entries. */
const MOST_PROBLEMS = 100
/** After this many entries others get their turn. */
const TURN = 10_000

/** Follows the trust documents of a log. Throws the codes of trust documents; `ERR_TENANT` for a log of another tenant. */
async function auditTrust(source: AuditSource, tenant: string): Promise<TrustDocument[]> {
  if (source.header.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
  const chain: TrustDocument[] = []
  for (const envelope of source.trust)
    chain.push(await followTrust(tenant, chain.at(-1) ?? null, [envelope], null, null))
  return chain
}

/** The lists of a log that a head names; all, where it names none of them. */
export function listsFor(body: Pick<HeadBody, 'crls'>, crls: ReadonlyMap<string, Bytes>): Bytes[] {
  const named = body.crls.flatMap(({ hash }) => crls.get(hex(hash)) ?? [])
  return named.length > 0 ? named : [...crls.values()]
}

/** Verifies heads as of when they were signed, under the trust documents that they name. */
class HeadVerifier {
  readonly #chain: readonly TrustDocument[]
  readonly #crls: ReadonlyMap<string, Bytes>
  readonly #verify = rememberSignatures()

  constructor(chain: readonly TrustDocument[], crls: readonly Bytes[]) {
    this.#chain = chain
    this.#crls = new Map(crls.map((der) => [hex(sha256(der)), der]))
  }

  /** Throws the codes of envelopes and paths; `ERR_HASH` for a head under a trust document that is not there. */
  async verify(envelope: Envelope): Promise<Head> {
    const { trust, issuedAt, crls } = peekHead(envelope, this.#chain[0]!.tenant)
    const named = this.#chain[trust.number - 1]
    if (named === undefined || !equal(named.hash, trust.hash))
      throw new KeyferryError('ERR_HASH', 'under a trust document that is not there')
    const lists = listsFor({ crls }, this.#crls)
    const context = { trust: named, now: issuedAt, crls: lists, verify: this.#verify }
    return verifyHeadSignature(envelope, context)
  }
}

const nameOf = ({ incarnation, version }: HeadBody): string => `head ${incarnation}.${version}`

/** Verifies the heads of the log itself and of others. */
async function verifyHeads(
  source: AuditSource,
  chain: readonly TrustDocument[],
  kept: readonly Kept[],
  report: AuditReport,
): Promise<void> {
  const verifier = new HeadVerifier(chain, source.crls)
  const seen = new Set<string>()
  for (const { by, heads } of [{ by: '', heads: source.heads }, ...kept]) {
    for (const envelope of heads) {
      const id = hex(documentHash(envelope))
      if (seen.has(id)) continue
      try {
        report.witnesses.push({ by, head: await verifier.verify(envelope) })
        seen.add(id)
      } catch (error) {
        if (!isKeyferryError(error)) throw error
        const what = `${error.message} (${error.code})`
        if (by === '') report.problems.push(`a head of the log: ${what}`)
        else report.unverified.push(`a head of ${by}: ${what}`)
      }
    }
  }
}

/** Whether a head shows entries that a restored database lost: of an earlier incarnation, beyond what that database had. */
function isLost({ incarnation, log }: HeadBody, { raised }: Follower): boolean {
  return raised.some((one) => incarnation < one.incarnation && log.size > one.since)
}

/** Whether a head of others is later than every head of the log itself, and shows more. */
function isLater({ by, head }: Witness, { entries, witnesses }: AuditReport): boolean {
  if (by === '' || head.body.log.size <= entries) return false
  return witnesses.every((one) => one.by !== '' || compareVersions(one.head.body, head.body) < 0)
}

/**
 * Checks a log. Throws what {@link auditTrust} throws, `ERR_MALFORMED` for a file that is cut off, `ERR_CLOSED` when it is stopped; everything else is
 * in the report.
 */
export async function verifyAudit(
  source: AuditSource,
  tenant: string,
  kept: readonly Kept[] = [],
  { progress, signal, isFile = false }: AuditOptions = {},
): Promise<AuditReport> {
  const chain = await auditTrust(source, tenant)
  const { body, hash } = chain.at(-1)!
  const report: AuditReport = {
    tenant,
    trust: { number: body.number, hash },
    entries: source.header.entries,
    shown: 0,
    heads: source.heads.length,
    problems: [],
    lost: [],
    unverified: [],
    later: [],
    contradicted: [],
    witnesses: [],
  }
  await verifyHeads(source, chain, kept, report)
  const bySize = Map.groupBy(report.witnesses, ({ head }) => head.body.log.size)
  const differ: Witness[] = []
  const frontier = emptyFrontier()
  const compare = (): void => {
    const here = bySize.get(frontier.size)
    if (here === undefined) return
    const root = frontierRoot(frontier)
    for (const one of here) {
      if (!equal(one.head.body.log.root, root)) differ.push(one)
      else report.shown = frontier.size
    }
  }
  const follower = new Follower(chain, (what) => {
    if (report.problems.length < MOST_PROBLEMS) report.problems.push(what)
  })
  compare()
  for (const leaf of source.leaves()) {
    addLeaf(frontier, leaf)
    follower.take(leaf)
    compare()
    if (frontier.size % TURN !== 0) continue
    progress?.(frontier.size, source.header.entries)
    await new Promise(setImmediate)
    if (signal?.aborted === true) throw new KeyferryError('ERR_CLOSED', 'stopped')
  }
  follower.end()
  const beyond = report.witnesses.filter(({ head }) => head.body.log.size > frontier.size)
  for (const one of [...differ, ...beyond]) {
    const { log } = one.head.body
    const of = one.by === '' ? '' : ` of ${one.by}`
    const what =
      log.size > frontier.size
        ? `${nameOf(one.head.body)}${of} shows ${log.size} entries, and the log has ${frontier.size}`
        : `${nameOf(one.head.body)}${of} shows another log of ${log.size} entries`
    if (isLost(one.head.body, follower)) report.lost.push(what)
    else if (isFile && isLater(one, report)) report.later.push(what)
    else {
      report.problems.push(what)
      report.contradicted.push(one)
    }
  }
  return report
}
