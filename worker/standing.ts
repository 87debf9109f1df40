/**
 * What this isolate remembers of a tenant for admission: its trust document and CRLs. By themselves they count for a few seconds, and for longer where the tenant's
 * object compares their tag. Stored documents are verified again on the way in: the storage is one more thing that need not be trusted.
 */
import { concat, equal, hex, type Bytes } from '../shared/bytes.ts'
import { parseCrl, type Crl } from '../shared/crl.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { sha256 } from '../shared/hash.ts'
import { lengthPrefixed } from '../shared/kdf.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { followTrust } from '../shared/trust-following.ts'
import { Recent } from './bounded.ts'
import { brake, tenantOf, type Call } from './call.ts'
import { standingTag, type StandingRow } from './store.ts'

/** Seconds until changes made through another isolate are seen. */
const FRESH = 5
/** The same for "not enrolled". */
const FRESH_ABSENT = 1
/** Of the 128 MB that an isolate has; a parsed list weighs several times its bytes. */
const MEMORY = 24 * 1_048_576
const LEAST = 32_768
const PARSED = 4

/** Trust document and CRLs of a tenant. */
export interface Standing {
  trust: TrustDocument
  /** Parsed once, however many paths they are asked about. */
  crls: { hash: Bytes; crl: Crl }[]
  /** Changes with any of these. */
  tag: string
}

const memo = new Recent<{ standing: Standing | null; at: number }>(
  MEMORY,
  ({ standing }) =>
    LEAST + PARSED * (standing?.crls.reduce((sum, { crl }) => sum + crl.der.length, 0) ?? 0),
)

/** From what is stored now, and what is known already. Throws where the one does not follow the other. */
async function readFrom(call: Call, row: StandingRow, known: Standing | null): Promise<Standing> {
  const trusts = row.trusts.map(decodeEnvelope)
  const trust = await followTrust(call.tenant, known?.trust ?? null, trusts, null, null)
  const crls = row.crls.flatMap(({ hash, der }) => {
    const kept = known?.crls.find((one) => equal(one.hash, hash))
    if (kept !== undefined) return [kept]
    return der === null ? [] : [{ hash, crl: parseCrl(der) }]
  })
  const hashes = crls.map(({ hash }) => hash)
  if (standingTag(trust.hash, hashes) !== row.tag) throw new Error('other documents')
  return { trust, crls, tag: row.tag }
}

async function fetchStanding(call: Call, known: Standing | null): Promise<Standing | null> {
  const knownCrls = known?.crls.map(({ hash }) => hash) ?? []
  const row = await tenantOf(call).standing(known?.trust.body.number ?? 0, knownCrls)
  try {
    return row && (await readFrom(call, row, known))
  } catch (error) {
    if (known === null) throw error
    // Storage that was set back has other documents than those known here: begin anew.
    return fetchStanding(call, null)
  }
}

/** What is remembered of the tenant, and whether that was so a moment ago. */
export function recallStanding({ tenant, now }: Pick<Call, 'tenant' | 'now'>): {
  standing: Standing | null | undefined
  isFresh: boolean
} {
  const entry = memo.get(tenant)
  const lifetime = entry?.standing == null ? FRESH_ABSENT : FRESH
  const isFresh = entry !== undefined && now >= entry.at && now - entry.at < lifetime
  return { standing: entry?.standing, isFresh }
}

/** The tenant's object had these documents when it was asked: unless this isolate has forgotten them since. */
export function confirmStanding(
  { tenant, now }: Pick<Call, 'tenant' | 'now'>,
  standing: Standing,
): void {
  if (memo.get(tenant)?.standing === standing) memo.set(tenant, { standing, at: now })
}

/** Standing of the tenant of a call, `isNew` for that of now; `null` for one that is not enrolled. Throws `ERR_QUOTA`. */
export async function readStanding(call: Call, isNew = false): Promise<Standing | null> {
  const { tenant, now } = call
  const { standing: known, isFresh } = recallStanding(call)
  if (known !== undefined && isFresh && !isNew) return known
  if (known == null) await brake(call)
  const standing = await fetchStanding(call, known ?? null)
  memo.set(tenant, { standing, at: now })
  return standing
}

/** After a change made here, the next call looks again. */
export function forgetStanding(tenant: string): void {
  const entry = memo.get(tenant)
  if (entry?.standing == null) memo.delete(tenant)
  // Another object: no call that is still out confirms it.
  else memo.set(tenant, { standing: { ...entry.standing }, at: 0 })
}

/** The CRLs as verifiers take them. */
export function crlsOf(standing: Standing): Crl[] {
  return standing.crls.map(({ crl }) => crl)
}

/** Hash of a chain of certificates, for memory: with their lengths, so that the same bytes cut elsewhere are another chain. */
export function chainKey(certificates: readonly Bytes[]): string {
  return hex(sha256(concat(...certificates.map(lengthPrefixed))))
}
