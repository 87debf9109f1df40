/** The small documents of a tenant: trust documents, CRLs and what is current. Objects are in objects.ts. */
import { and, asc, count, desc, eq, gt, lt, notInArray, sql } from 'drizzle-orm'
import { base64url, compare, concat, equal, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { relayError } from '../shared/relay-codes.ts'
import { type ErrorCode } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { MAX_LISTS, MAX_TRUST_STEPS } from '../shared/limits.ts'
import { decodeHead } from '../shared/release.ts'
import { keyOf } from './bounded.ts'
import { type Database } from './database.ts'
import { crls, current, trusts } from './schema.ts'
import { type Roots } from './walk.ts'

/** CRLs of a tenant: more issuers than any head names. */
const MAX_CRLS = 128

/** A CRL whose signature the gateway verified, or whose hash a verified head names. */
export interface StoredCrl {
  /** Key id; for a CRL that came with the enrolment another hash, so that it takes no place of one that the head names. */
  issuer: Bytes
  number: number
  hash: Bytes
  /** Seconds. */
  nextUpdate: number
  isDelivered: boolean
  /** False where nobody but whoever enrolled the tenant says that it is a list of its. */
  isVerified: boolean
  der: Bytes
}

/** The head and its catalog, as they are stored. */
export type Current = typeof current.$inferSelect

/** What the gateway needs for admission. CRLs that it has already come without body. */
export interface StandingRow {
  /** See {@link standingTag}. */
  tag: string
  /** Envelopes of the trust documents after the known one, rising. */
  trusts: Bytes[]
  crls: { hash: Bytes; der: Bytes | null }[]
}

export function readCurrent(db: Database): Current | undefined {
  return db.select().from(current).get()
}

/** The trees of a head, as a row has them. */
type TreeRow = Pick<
  Current,
  | 'releasesIndex'
  | 'releasesRoot'
  | 'releasesSize'
  | 'manifestsIndex'
  | 'manifestsRoot'
  | 'manifestsSize'
>

export function rootsOf(row: TreeRow): Roots {
  return {
    releases: { index: row.releasesIndex, root: row.releasesRoot, size: row.releasesSize },
    manifests: { index: row.manifestsIndex, root: row.manifestsRoot, size: row.manifestsSize },
  }
}

/** Envelopes of the trust documents above a number, rising. */
export function trustsAfter(db: Database, number: number): Bytes[] {
  const rows = db
    .select({ envelope: trusts.envelope })
    .from(trusts)
    .where(gt(trusts.number, number))
    .orderBy(asc(trusts.number))
    .all()
  return rows.map((row) => row.envelope)
}

export function newestTrust(db: Database): { number: number; hash: Bytes } | undefined {
  return db
    .select({ number: trusts.number, hash: trusts.hash })
    .from(trusts)
    .orderBy(desc(trusts.number))
    .limit(1)
    .get()
}

/** What tells the documents of admission from earlier and later ones: the hashes of the newest trust document and of the CRLs, in any order. */
export function standingTag(trust: Bytes, lists: readonly Bytes[]): string {
  return base64url(sha256(concat(trust, ...lists.toSorted(compare))))
}

/** Hashes of the CRLs. */
export function crlHashes(db: Database): Bytes[] {
  return db
    .select({ hash: crls.hash })
    .from(crls)
    .all()
    .map(({ hash }) => hash)
}

/** `null` for a tenant that is not enrolled. `known` are hashes of CRLs. */
export function readStanding(db: Database, after: number, known: Bytes[]): StandingRow | null {
  const newest = newestTrust(db)
  if (newest === undefined) return null
  const has = new Set(known.map(keyOf))
  const listed = db.select({ issuer: crls.issuer, hash: crls.hash }).from(crls).all()
  const der = (issuer: Bytes): Bytes | null =>
    db.select({ der: crls.der }).from(crls).where(eq(crls.issuer, issuer)).get()?.der ?? null
  return {
    tag: standingTag(
      newest.hash,
      listed.map(({ hash }) => hash),
    ),
    trusts: newest.number > after ? trustsAfter(db, after) : [],
    crls: listed.map(({ issuer, hash }) => ({
      hash,
      der: has.has(keyOf(hash)) ? null : der(issuer),
    })),
  }
}

export function hasTrust(db: Database, number: number, hash: Bytes): boolean {
  const row = db.select({ hash: trusts.hash }).from(trusts).where(eq(trusts.number, number)).get()
  return row !== undefined && equal(row.hash, hash)
}

/** Adds a verified trust document. `null` when it is, or already was, stored. */
export function addTrust(
  db: Database,
  next: { number: number; hash: Bytes; envelope: Bytes },
): ErrorCode | null {
  const stored = db
    .select({ hash: trusts.hash })
    .from(trusts)
    .where(eq(trusts.number, next.number))
    .get()
  // PROTOCOL [relay-5]
  if (stored !== undefined) return equal(stored.hash, next.hash) ? null : 'ERR_FORK'
  if (next.number !== (newestTrust(db)?.number ?? 0) + 1) return 'ERR_CONFLICT'
  if (next.number > MAX_TRUST_STEPS) return 'ERR_QUOTA'
  db.insert(trusts).values(next).run()
  return null
}

/** The code for which one of these CRLs may not replace the stored one of its issuer, or `null`. */
export function checkCrls(db: Database, next: readonly StoredCrl[]): ErrorCode | null {
  for (const crl of next) {
    const stored = db
      .select({ number: crls.number, hash: crls.hash })
      .from(crls)
      .where(eq(crls.issuer, crl.issuer))
      .get()
    if (stored === undefined || equal(stored.hash, crl.hash)) continue
    // PROTOCOL [relay-8]
    if (crl.number < stored.number) return 'ERR_ROLLBACK'
    if (crl.number === stored.number) return 'ERR_FORK'
  }
  return null
}

/** Stores CRLs that {@link checkCrls} passed, where they differ from the stored ones; inside a transaction. Throws `ERR_QUOTA`. */
export function putCrls(db: Database, next: readonly StoredCrl[]): void {
  let isChanged = false
  for (const crl of next) {
    const stored = db
      .select({ hash: crls.hash, isDelivered: crls.isDelivered })
      .from(crls)
      .where(eq(crls.issuer, crl.issuer))
      .get()
    if (stored !== undefined && equal(stored.hash, crl.hash)) {
      if (stored.isDelivered !== crl.isDelivered) {
        db.update(crls)
          .set({ isDelivered: crl.isDelivered })
          .where(eq(crls.issuer, crl.issuer))
          .run()
      }
      continue
    }
    isChanged = true
    const { issuer: _, ...set } = crl
    db.insert(crls).values(crl).onConflictDoUpdate({ target: crls.issuer, set }).run()
  }
  if (!isChanged) return
  const size = sql<number>`sum(length(${crls.der}))`
  const total = db.select({ count: count(), size }).from(crls).get()!
  if (total.count > MAX_CRLS || total.size > MAX_LISTS) throw relayError('ERR_QUOTA')
}

/** True for a list that is stored, for whatever place. */
export function hasCrl(db: Database, hash: Bytes): boolean {
  return db.select({ hash: crls.hash }).from(crls).where(eq(crls.hash, hash)).get() !== undefined
}

/** What nobody verified and no head named goes: an enrolment brings its own. */
export function dropUnverifiedCrls(db: Database): void {
  db.delete(crls).where(eq(crls.isVerified, false)).run()
}

/** Clients are given these CRLs only, and what the enrolment brought of them is not needed twice; inside a transaction. */
export function settleCrls(db: Database, named: readonly StoredCrl[]): void {
  const issuers = new Set(named.map(({ issuer }) => keyOf(issuer)))
  const hashes = new Set(named.map(({ hash }) => keyOf(hash)))
  const { issuer, hash, isDelivered, isVerified } = crls
  const rows = db.select({ issuer, hash, isDelivered, isVerified }).from(crls).all()
  for (const row of rows) {
    if (issuers.has(keyOf(row.issuer))) continue
    const place = eq(crls.issuer, row.issuer)
    if (hashes.has(keyOf(row.hash)) || !row.isVerified) db.delete(crls).where(place).run()
    else if (row.isDelivered) db.update(crls).set({ isDelivered: false }).where(place).run()
  }
}

/** CRLs for clients: DER, by issuer. */
export function deliveredCrls(db: Database): Bytes[] {
  const rows = db
    .select({ der: crls.der })
    .from(crls)
    .where(eq(crls.isDelivered, true))
    .orderBy(asc(crls.issuer))
    .all()
  return rows.map((row) => row.der)
}

/** The newest CRL of an issuer by its hash: what verifies senders is fetched like an object. */
export function findCrl(db: Database, hash: Bytes): Bytes | null {
  const row = db.select({ der: crls.der }).from(crls).where(eq(crls.hash, hash)).get()
  return row?.der ?? null
}

/** Issuers of the CRLs that would replace another one, or be new. */
export function changedCrls(db: Database, next: readonly StoredCrl[]): StoredCrl[] {
  return next.filter(({ issuer, hash }) => {
    const stored = db.select({ hash: crls.hash }).from(crls).where(eq(crls.issuer, issuer)).get()
    return stored === undefined || !equal(stored.hash, hash)
  })
}

/** All CRLs: DER, by issuer. */
export function allCrls(db: Database): Bytes[] {
  const rows = db.select({ der: crls.der }).from(crls).orderBy(asc(crls.issuer)).all()
  return rows.map((row) => row.der)
}

/** Forgets CRLs that nobody can use any more, that no client is given and that the head (encoded) does not name. */
export function dropStaleCrls(db: Database, now: number, head: Bytes | undefined): void {
  const named = head === undefined ? [] : decodeHead(decodeEnvelope(head)).crls
  const kept = named.map(({ hash }) => hash)
  db.delete(crls)
    .where(and(lt(crls.nextUpdate, now), eq(crls.isDelivered, false), notInArray(crls.hash, kept)))
    .run()
}
