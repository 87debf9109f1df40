/**
 * What happened since a backup, as far as relays know it, taken into a restored database: trust documents, revocation lists, members that are none any more, rules that
 * were taken away, versions that were made, withdrawn or destroyed. Nothing here widens anything.
 */
import { base64url, equal, hex, type Bytes } from '../shared/bytes.ts'
import { checkCrl, parseCrl, type Crl } from '../shared/crl.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { keyId } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parseAnchor } from '../shared/x509.ts'
import { anchorsOf } from './crl-sources.ts'
import { storeCrl } from './crls.ts'
import { denyKey } from './devices.ts'
import { catchUpRing, derivedVersions, type RingChange } from './catch-up-ring.ts'
import { type Held, type HeldRing } from './held.ts'
import { latestHead } from './heads.ts'
import { isFenced, noteCaughtUp, noteListed } from './restored.ts'
import { type Root } from './root.ts'
import { type KeyringRow } from './rows.ts'
import { type Store } from './store.ts'
import { publishTrust } from './trust-change.ts'
import { loadTrust } from './trust.ts'

/** What was found, and is taken in. Times are seconds. */
export interface CaughtUp {
  /** The newest head that a relay holds, or `null`. */
  head: { relay: string; incarnation: number; version: number; issuedAt: number } | null
  /** The newest head of the backup; 0 for none. */
  backup: number
  /** Entries of the log that are lost. */
  lost: number
  /** Trust documents that were published since: number and hash, to be compared with what `trust publish` printed. */
  trust: { number: number; hash: string }[]
  /** Lists of the built-in CAs that are newer than those of the backup, or name whom these do not. */
  lists: { issuer: string; number: number; revoked: number }[]
  changes: RingChange[]
}

/** Thrown to end a transaction whose changes are only looked at. */
class LookedAt extends Error {}

/** The relay that holds the newest head. */
export function newestOf(held: readonly Held[]): Held | undefined {
  return held
    .filter(({ head }) => head !== null)
    .toSorted(
      (a, b) => b.head!.incarnation - a.head!.incarnation || b.head!.version - a.head!.version,
    )[0]
}

/**
 * What the relay with the newest head holds of keyrings, unless that head is older than the newest of the backup: such a relay knows nothing of the time since, and
 * would have undone what the backup knows already.
 */
function ringsSince(store: Store, newest: Held | undefined): HeldRing[] {
  if (newest?.head == null) return []
  const { incarnation, version } = newest.head
  const own = store.get<{ incarnation: number; version: number }>(
    'SELECT incarnation, version FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  const isOlder =
    own !== undefined &&
    (incarnation < own.incarnation || (incarnation === own.incarnation && version < own.version))
  return isOlder ? [] : newest.rings
}

/** The trust documents of relays beyond our own. Throws `ERR_FORK` where one of them is another than ours of that number. */
async function newerTrust(store: Store, held: readonly Held[]): Promise<TrustDocument[]> {
  const own = await loadTrust(store)
  let newest: TrustDocument[] = []
  for (const { url, trusts } of held) {
    for (const [i, one] of trusts.entries()) {
      const known = own[i] ?? newest[i - own.length]
      if (known !== undefined && !equal(known.hash, one.hash))
        throw new KeyferryError('ERR_FORK', `${url} holds another trust document ${i + 1}`)
    }
    if (trusts.length > own.length + newest.length) newest = trusts.slice(own.length)
  }
  return newest
}

interface OwnIssuer {
  key_id: Bytes
  role: 'deriver' | 'client'
}

/**
 * Takes in a list that a built-in CA of ours issued: whoever is on it is revoked here, too, whatever its number, which a list made here since the backup may have as well;
 * and its number is not given out again. Returns how many were not known to be revoked; `null` for a list that is not above ours and names nobody else.
 */
function takeOwnList(
  store: Store,
  { key_id: issuer, role }: OwnIssuer,
  list: { der: Bytes; number: number; nextUpdate: number; revoked: Iterable<string> },
  now: number,
): number | null {
  const last = store.get<{ number: number }>('SELECT number FROM crls WHERE issuer = ?', issuer)
  const isAbove = last === undefined || last.number < list.number
  let fresh = 0
  for (const serial of list.revoked) {
    const row = store.get<{ key_id: Bytes; uri: string; revoked: number | null }>(
      'SELECT key_id, uri, revoked FROM issued WHERE serial = ?',
      serial,
    )
    if (row?.revoked != null) continue
    fresh++
    if (row === undefined)
      // Issued after the backup: what is known of it is its number. On lists for as long as any certificate may live.
      store.run(
        "INSERT INTO issued VALUES (?, ?, '', X'', ?, ?, ?, X'')",
        serial,
        role,
        now + 400 * 86_400,
        now,
        now,
      )
    else {
      store.run('UPDATE issued SET revoked = ? WHERE serial = ?', now, serial)
      if (role === 'client') denyKey(store, row.key_id, row.uri, now)
    }
  }
  if (isAbove) storeCrl(store, issuer, list.number, list.der, list.nextUpdate)
  store.set(`crl-${role}`, Math.max(store.counter(`crl-${role}`), list.number))
  return isAbove || fresh > 0 ? fresh : null
}

/** A list that was checked, of a CA that is ours. */
interface OwnList {
  issuer: OwnIssuer
  list: Parameters<typeof takeOwnList>[2]
}

/** A list that a relay holds; none where that is no list. */
function listOf(der: Bytes): Crl[] {
  try {
    return [parseCrl(der)]
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return []
  }
}

/** The lists of built-in CAs that relays hold, lowest number first. Those of the customer's CAs are to be had from these themselves. */
async function ownLists(
  store: Store,
  held: readonly Held[],
  trusts: readonly TrustDocument[],
  now: number,
): Promise<OwnList[]> {
  const own = new Map(
    store.all<OwnIssuer>('SELECT * FROM own_issuers').map((one) => [hex(one.key_id), one]),
  )
  const issuers = trusts.flatMap((one) => anchorsOf(one))
  const lists = held.flatMap(({ crls }) => crls.flatMap(listOf))
  const out: OwnList[] = []
  for (const crl of lists) {
    for (const certificate of issuers) {
      const anchor = parseAnchor(certificate)
      const issuer = own.get(hex(await keyId(anchor.spki)))
      if (issuer === undefined) continue
      try {
        // Its time is over where the machine was away for long: what it says of serials holds nevertheless.
        const { number, nextUpdate } = await checkCrl(crl, anchor, Math.min(now, crl.nextUpdate))
        out.push({
          issuer,
          list: { der: crl.der, number, nextUpdate, revoked: crl.revoked.keys() },
        })
      } catch (error) {
        if (!isKeyferryError(error, 'ERR_CRL')) throw error
      }
    }
  }
  return out.toSorted((a, b) => a.list.number - b.list.number)
}

/**
 * Compares a restored database with what relays hold. With `accept` it is taken in, in one transaction, and what relays do not know is confirmed not to have happened;
 * without, nothing changes. `retention` is how long backups are kept, in seconds, for what is destroyed again. Throws `ERR_CONFLICT` for a database that is not fenced, `ERR_FORK`, and what roots throw.
 */
export async function catchUp(
  store: Store,
  root: Root,
  held: readonly Held[],
  { accept, retention }: { accept: boolean; retention: number },
  now: number,
): Promise<CaughtUp> {
  if (!isFenced(store))
    throw new KeyferryError('ERR_CONFLICT', 'this database was not restored, or goes on already')
  const newest = newestOf(held)
  const documents = await newerTrust(store, held)
  const own = await loadTrust(store)
  const { tenant } = own[0]!
  const lists = await ownLists(store, held, [...own, ...documents], now)
  const rings = ringsSince(store, newest)
  const derived = await derivedVersions(store, root, tenant, rings)
  const head = newest?.head ?? null
  const shown = store.get<{ n: number }>('SELECT count(*) AS n FROM log')!.n
  const result: CaughtUp = {
    head: head && {
      relay: newest!.url,
      incarnation: head.incarnation,
      version: head.version,
      issuedAt: head.issuedAt,
    },
    backup: latestHead(store)?.version ?? 0,
    lost: 0,
    trust: documents.map(({ body, hash }) => ({ number: body.number, hash: base64url(hash) })),
    lists: [],
    changes: [],
  }
  // The last entry is that of the restore.
  result.lost = head === null ? 0 : Math.max(0, head.log.size - (shown - 1))
  if (accept) for (const one of documents) await publishTrust(store, one.envelope, now)
  try {
    store.transaction(() => {
      for (const { issuer, list } of lists) {
        const revoked = takeOwnList(store, issuer, list, now)
        if (revoked !== null)
          result.lists.push({
            issuer: hex(issuer.key_id).slice(0, 16),
            number: list.number,
            revoked,
          })
      }
      const rows = new Map(
        store.all<KeyringRow>('SELECT * FROM keyrings').map((row) => [hex(row.id), row]),
      )
      for (const ring of rings) {
        const row = rows.get(hex(ring.release.keyring))
        const found = derived.get(hex(ring.release.keyring)) ?? []
        result.changes.push(
          ...catchUpRing(store, { ring, known: row, derived: found }, retention, now),
        )
      }
      if (!accept) throw new LookedAt()
      for (const { key_id } of store.all<OwnIssuer>('SELECT * FROM own_issuers'))
        noteListed(store, new Uint8Array(key_id), now)
      const used = [...own, ...documents].map(({ body }) => body.incarnation)
      noteCaughtUp(store, Math.max(head?.incarnation ?? 1, ...used))
    })
  } catch (error) {
    if (!(error instanceof LookedAt)) throw error
  }
  return result
}
