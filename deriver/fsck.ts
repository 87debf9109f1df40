/**
 * Looks through everything that a relay stores of a tenant, and verifies it again: nothing but the tenant id and the newest trust document of the own database is taken for
 * granted. Changes nothing, here or there.
 */
import { type Documents } from '../shared/deriver-calls.ts'
import { decodeMember, MEMBER_LEAF } from '../shared/bundle.ts'
import { base64url, equal, hex, type Bytes } from '../shared/bytes.ts'
import { verifyCatalog } from '../shared/catalog.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { verifyKeyPackage, verifyKeyRequest } from '../shared/key-package.ts'
import { type VerifyContext } from '../shared/verify-context.ts'
import { KEYRING_LEAF } from '../shared/manifest.ts'
import { MAX_RELEASE } from '../shared/limits.ts'
import { decodeRelease, requireTrust, verifyHead, type HeadBody } from '../shared/release.ts'
import { checkIndex, checkPage, parseIndex, type TreeHead } from '../shared/tree.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { followTrust } from '../shared/trust-following.ts'
import { fetchDocuments, fetchObjects, fetchRequests, type RelayAccess } from './relay.ts'

/** What was found. `unreferenced` are objects that the head does not name: of the one before, or of the next. */
export interface RelayReport {
  relay: string
  tenant: string
  trust: number
  head: { incarnation: number; version: number } | null
  crls: number
  objects: number
  bytes: number
  unreferenced: number
  requests: number
  problems: string[]
}

/** First letters of trees, and of the objects that only a restore reads. */
const TREE = 'KFT'
export const MANIFEST_AND_BUNDLE = ['KFM', 'KFB'] as const

/** Objects by their hash: all of them are known, and of those that name others the bodies; with `also` those of other kinds, too. */
export class Stored {
  readonly #kept: readonly string[]
  readonly #hashes = new Set<string>()
  readonly #bodies = new Map<string, Bytes>()
  readonly #seen = new Set<string>()
  bytes = 0

  constructor(also: readonly string[] = []) {
    this.#kept = [TREE, ...also]
  }

  add(body: Bytes): void {
    const hash = hex(sha256(body))
    this.#hashes.add(hash)
    this.bytes += body.length
    const isKept = this.#kept.includes(String.fromCodePoint(...body.subarray(0, 3)))
    if (isKept || (body[0] === 0x7b && body.length <= MAX_RELEASE)) this.#bodies.set(hash, body)
  }

  get size(): number {
    return this.#hashes.size
  }

  get unreferenced(): number {
    return [...this.#hashes].filter((hash) => !this.#seen.has(hash)).length
  }

  /** Throws `ERR_INCOMPLETE`. */
  require(hash: Bytes, what: string): Bytes {
    const name = hex(hash)
    this.#seen.add(name)
    if (!this.#hashes.has(name))
      throw new KeyferryError('ERR_INCOMPLETE', `${what} ${base64url(hash)} is not there`)
    return this.#bodies.get(name) ?? new Uint8Array()
  }

  tree({ index, root, size }: TreeHead, leafLength: number, what: string): Bytes[] {
    const bytes = this.require(index, `the index of ${what}`)
    const pages = parseIndex(bytes, leafLength).pages.map((page) =>
      this.require(page, `a page of ${what}`),
    )
    const leaves = pages.flatMap((page) => checkPage(page, leafLength).leaves)
    const checked = checkIndex(bytes, pages, leafLength)
    if (checked.size !== size || !equal(checked.root, root))
      throw new KeyferryError('ERR_INCOMPLETE', `${what}: another tree than the one that is named`)
    return leaves
  }
}

/** Does `work`; what it finds wrong is a problem, not the end. */
async function note(problems: string[], what: string, work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    problems.push(`${what}: ${error.message} (${error.code})`)
  }
}

async function checkObjects(
  stored: Stored,
  body: HeadBody,
  manifests: TreeHead,
  problems: string[],
): Promise<void> {
  await note(problems, 'manifests', () => {
    for (const leaf of stored.tree(manifests, KEYRING_LEAF, 'manifests'))
      stored.require(leaf.subarray(16), 'a manifest')
  })
  await note(problems, 'releases', async () => {
    for (const leaf of stored.tree(body.releases, KEYRING_LEAF, 'releases')) {
      const keyring = leaf.subarray(0, 16)
      await note(problems, `keyring ${base64url(keyring)}`, () => {
        const release = decodeRelease(stored.require(leaf.subarray(16), 'its release'))
        if (!equal(release.keyring, keyring))
          throw new KeyferryError('ERR_KEYRING', 'a release of another keyring')
        stored.require(release.manifest, 'its manifest')
        stored.require(release.bundle, 'its bundle')
        for (const member of stored.tree(release.members, MEMBER_LEAF, 'its members'))
          stored.require(decodeMember(member).welcomeHash, 'a welcome')
      })
    }
  })
}

/** Reads everything that a relay stores. Throws `ERR_RELAY`, and what calls throw. */
export async function readObjects(
  access: RelayAccess,
  problems: string[],
  progress: (objects: number) => void,
  stored: Stored = new Stored(),
): Promise<Stored> {
  for (let after: string | null = null; ;) {
    const { bodies, next } = await fetchObjects(access, after)
    for (const body of bodies) stored.add(body)
    progress(stored.size)
    if (next === null) return stored
    const last = bodies.at(-1)
    // It would send us round and round.
    if (last === undefined || (after !== null && next === after))
      throw new KeyferryError('ERR_RELAY', 'the list of objects does not go on')
    if (base64url(sha256(last)) !== next)
      problems.push(`object ${next}: other bytes than its name says`)
    after = next
  }
}

async function checkMailbox(
  access: RelayAccess,
  context: VerifyContext,
  problems: string[],
): Promise<number> {
  let count = 0
  for (let after = 0; ;) {
    const { next, requests } = await fetchRequests(access, after)
    for (const { package: envelope, request } of requests) {
      count++
      await note(problems, `request ${count}`, async () => {
        try {
          await verifyKeyRequest(request, await verifyKeyPackage(envelope, context), context)
        } catch (error) {
          // It waits here since before its client was revoked: the deriver will refuse it.
          if (!isKeyferryError(error, 'ERR_CERT_REVOKED')) throw error
        }
      })
    }
    if (requests.length === 0 || next <= after) return count
    after = next
  }
}

/** What was found of everything but the mailbox. */
type StoredReport = Omit<RelayReport, 'relay' | 'requests'>

/**
 * Checks what is stored as of `now`, in seconds. `trusts` are the own trust documents; with `isNewest` the newest is to be there, else any of them. What is wrong is
 * added to `problems`.
 */
export async function checkStored(
  tenant: string,
  { trust: envelopes, crls, head, catalog }: Documents,
  stored: Stored,
  { trusts, isNewest, now }: { trusts: readonly TrustDocument[]; isNewest: boolean; now: number },
  problems: string[],
): Promise<{ report: StoredReport; context: VerifyContext }> {
  const newest = trusts.at(-1)!
  let trust = newest
  await note(problems, 'trust documents', async () => {
    trust = await followTrust(tenant, null, envelopes, null, null)
    const { number } = trust.body
    const known = isNewest ? newest : trusts[number - 1]
    if (known === undefined || !equal(trust.hash, known.hash))
      throw new KeyferryError(
        'ERR_ROLLBACK',
        `number ${number} is there, and the deriver has ${newest.body.number}`,
      )
  })
  const context: VerifyContext = { trust, now, crls }
  let standing: RelayReport['head'] = null
  if (head === null || catalog === null) problems.push('head: none was pushed')
  else {
    await note(problems, 'head', async () => {
      const { body } = await verifyHead(head, context)
      standing = { incarnation: body.incarnation, version: body.version }
      requireTrust(body, trust)
      if (now > body.expiresAt) problems.push('head: past its expiry (ERR_STALE)')
      const hashes = new Set(crls.map((der) => hex(sha256(der))))
      for (const { hash, number } of body.crls)
        if (!hashes.has(hex(hash))) problems.push(`list ${number}: named by the head, not there`)
      if (!equal(documentHash(catalog), body.catalog.hash))
        throw new KeyferryError('ERR_HASH', 'another catalog than the one that it names')
      const { body: named } = await verifyCatalog(catalog, trust)
      await checkObjects(stored, body, named.manifests, problems)
    })
  }
  const { size: objects, bytes, unreferenced } = stored
  const counts = { crls: crls.length, objects, bytes, unreferenced }
  const report = { tenant, trust: trust.body.number, head: standing, ...counts, problems }
  return { report, context }
}

/**
 * Checks a relay. `newest` is the newest trust document of the own database, `progress` is told how many objects were read. Throws what reading throws: then nothing is
 * known. What is wrong with what was read stands in `problems`.
 */
export async function checkRelay(
  access: RelayAccess,
  newest: TrustDocument,
  progress: (objects: number) => void = () => {},
): Promise<RelayReport> {
  const problems: string[] = []
  const documents = await fetchDocuments(access)
  const stored = await readObjects(access, problems, progress)
  const own = { trusts: [newest], isNewest: true, now: access.now() }
  const { report, context } = await checkStored(access.tenant, documents, stored, own, problems)
  const requests = await checkMailbox(access, context, problems)
  return { relay: access.url, requests, ...report }
}
