/** Storing a push (docs/PROTOCOL.md [relay-6] to [relay-10]). All signatures were verified before this is reached. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, type ErrorCode } from '../shared/errors.ts'
import { compareVersions } from '../shared/manifest.ts'
import { type TreeHead } from '../shared/tree.ts'
import { HashSet } from './bounded.ts'
import { type Database } from './database.ts'
import { keepHead, type LogHead } from './heads.ts'
import { type Hot } from './hot.ts'
import { type NamedObject, type Objects } from './objects.ts'
import { current, past } from './schema.ts'
import {
  changedCrls,
  checkCrls,
  putCrls,
  settleCrls,
  type Current,
  type StoredCrl,
} from './store.ts'
import { walkHead } from './walk.ts'

/** Hashes known to be complete, so that the unchanged parts of the next head are not walked again. */
const KNOWN_COMPLETE = 100_000

/** A push whose signatures were verified. */
export interface PreparedPush {
  /** Hash of the trust document under which it was verified. */
  trust: Bytes
  /** Hash of the head to be replaced; `null` for none. */
  ifMatch: Bytes | null
  head: LogHead & { hash: Bytes; incarnation: number; version: number; releases: TreeHead }
  catalog: { hash: Bytes; number: number; envelope: Bytes; manifests: TreeHead }
  crls: StoredCrl[]
}

/** `isNew` is false when this head was stored before; `changed` are the CRLs that replaced others. */
export type PushResult =
  | { code: null; isNew: boolean; changed: StoredCrl[] }
  | { code: Exclude<ErrorCode, 'ERR_CONFLICT'> }
  | { code: 'ERR_CONFLICT'; head: Bytes | null }

type Trees = Pick<Current, 'releasesIndex' | 'manifestsIndex'>

function hasSameTrees(a: Trees, b: Trees): boolean {
  return equal(a.releasesIndex, b.releasesIndex) && equal(a.manifestsIndex, b.manifestsIndex)
}

/** What the head named that is about to be replaced is kept from now on, not from when it came. */
function keepPast(db: Database, stored: Current, now: number): void {
  const {
    releasesIndex,
    releasesRoot,
    releasesSize,
    manifestsIndex,
    manifestsRoot,
    manifestsSize,
  } = stored
  const trees = {
    releasesIndex,
    releasesRoot,
    releasesSize,
    manifestsIndex,
    manifestsRoot,
    manifestsSize,
  }
  db.insert(past)
    .values({ ...trees, replaced: now })
    .onConflictDoUpdate({
      target: [past.releasesIndex, past.manifestsIndex],
      set: { replaced: now },
    })
    .run()
}

export class Pushes {
  readonly #storage: DurableObjectStorage
  readonly #db: Database
  readonly #hot: Hot
  readonly #objects: Objects
  readonly #complete = new HashSet(KNOWN_COMPLETE)

  constructor(storage: DurableObjectStorage, db: Database, hot: Hot, objects: Objects) {
    this.#storage = storage
    this.#db = db
    this.#hot = hot
    this.#objects = objects
  }

  /** Stores objects in one transaction. */
  addObjects(
    objects: readonly NamedObject[],
    now: number,
    most: { objects: number; bytes: number },
  ): ErrorCode | null {
    if (!this.#objects.hasRoom(objects, most)) return 'ERR_QUOTA'
    this.#storage.transactionSync(() => this.#objects.put(objects, now))
    this.#objects.remember(objects)
    return null
  }

  /** Moves the head, or says why not. Nothing here awaits: no other call can come between. */
  push(push: PreparedPush, now: number): PushResult {
    const stored = this.#hot.current()
    if (stored !== undefined && equal(stored.hash, push.head.hash))
      return { code: null, isNew: false, changed: [] }
    const code = this.#refuse(push, stored)
    if (code === 'ERR_CONFLICT') return { code, head: stored?.head ?? null }
    if (code !== null) return { code }
    const changed = changedCrls(this.#db, push.crls)
    try {
      const roots = { releases: push.head.releases, manifests: push.catalog.manifests }
      const visited = walkHead(this.#objects, roots, this.#complete)
      this.#write(push, stored, now)
      this.#complete.addAll(visited)
    } catch (error) {
      if (isKeyferryError(error) && error.code !== 'ERR_CONFLICT') return { code: error.code }
      throw error
    } finally {
      this.#hot.forget()
    }
    return { code: null, isNew: true, changed }
  }

  /** What was complete may have been collected. */
  forget(): void {
    this.#complete.clear()
  }

  #refuse(
    { trust, ifMatch, head, catalog, crls }: PreparedPush,
    stored: Current | undefined,
  ): ErrorCode | null {
    // PROTOCOL [relay-6]: the trust document may have changed since the gateway looked
    const newest = this.#hot.newestTrust()
    if (newest === undefined || !equal(newest.hash, trust)) return 'ERR_ROLLBACK'
    if (stored !== undefined) {
      if (compareVersions(head, stored) <= 0) return 'ERR_ROLLBACK'
      // PROTOCOL [catalog-2]
      if (catalog.number < stored.catalogNumber) return 'ERR_ROLLBACK'
      if (catalog.number === stored.catalogNumber && !equal(catalog.hash, stored.catalogHash))
        return 'ERR_FORK'
    }
    // PROTOCOL [relay-7]
    if (
      stored === undefined ? ifMatch !== null : ifMatch === null || !equal(ifMatch, stored.hash)
    ) {
      return 'ERR_CONFLICT'
    }
    return checkCrls(this.#db, crls)
  }

  #write({ head, catalog, crls }: PreparedPush, stored: Current | undefined, now: number): void {
    const row = {
      hash: head.hash,
      incarnation: head.incarnation,
      version: head.version,
      releasesIndex: head.releases.index,
      releasesRoot: head.releases.root,
      releasesSize: head.releases.size,
      catalogNumber: catalog.number,
      catalogHash: catalog.hash,
      manifestsIndex: catalog.manifests.index,
      manifestsRoot: catalog.manifests.root,
      manifestsSize: catalog.manifests.size,
      head: head.envelope,
      catalog: catalog.envelope,
    }
    // PROTOCOL [relay-10]
    this.#storage.transactionSync(() => {
      putCrls(this.#db, crls)
      settleCrls(this.#db, crls)
      keepHead(this.#db, head)
      if (stored !== undefined && !hasSameTrees(stored, row)) keepPast(this.#db, stored, now)
      this.#db
        .insert(current)
        .values({ id: 1, ...row })
        .onConflictDoUpdate({ target: current.id, set: row })
        .run()
    })
  }
}
