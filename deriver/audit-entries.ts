/** What the entries of a log say one after another (docs/PROTOCOL.md, "Audit log"): whether they fit each other, and who could read what. */
import { base64url, equal, fromHex, hex, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { decodeEntry, type LogEntry } from '../shared/log.ts'
import { type TrustDocument } from '../shared/trust.ts'
import {
  isVersionEntry,
  VersionLives,
  type DestructionSaid,
  type ExportSaid,
} from './audit-versions.ts'

/** A device that could read a version. Times are seconds. */
export interface Reader {
  /** Key id of the certificate's key, in hex. */
  device: string
  uri: string
  /** When it first could. */
  from: number
  /** When it was removed from the keyring; `null` where it is a member still. */
  removed: number | null
}

/** What is asked: who could read; each of them may be left out for any. */
export interface ReadQuery {
  /** Keyring id, in hex. */
  keyring?: string
  /** `version` or `incarnation.version`. */
  version?: string
  uri?: string
}

/** One answer: a device and a version of a keyring. */
export interface Reading extends Reader {
  /** Keyring id, in hex. */
  keyring: string
  /** As `incarnation.version`. */
  version: string
  /** When the version was destroyed; `null` where it was not. */
  destroyed: number | null
}

type KeyringEntry = Extract<LogEntry, { keyring: Bytes }>

const MEMBER_EVENTS = [
  'member-added',
  'package-rotated',
  'member-rewelcomed',
  'member-removed',
] as const
type MemberEntry = Extract<LogEntry, { event: (typeof MEMBER_EVENTS)[number] }>

function isMemberEntry(entry: LogEntry): entry is MemberEntry {
  return (MEMBER_EVENTS as readonly string[]).includes(entry.event)
}

/** A keyring as far as the entries have come. */
interface RingState {
  kind: string
  generation: number
  version: number
  /** Devices of the members, in hex. */
  members: Set<string>
  /** Members that are asked about, with their URI. */
  watched: Map<string, string>
  /** Versions that a bundle of the present generation has had, as `incarnation.version`. */
  bundled: Set<string>
  bundle: Bytes | null
}

/** Follows the entries of a log. `problem` is told what does not fit; with a query it collects who could read. */
export class Follower {
  readonly #rings = new Map<string, RingState>()
  readonly #trust: readonly TrustDocument[] | null
  readonly #problem: (what: string) => void
  readonly #query: ReadQuery | undefined
  /** By keyring and device, then by version. */
  readonly #readings = new Map<string, Map<string, Reading>>()
  #count = 0
  #published = 1
  #catalog = 0
  #proposed = 0
  #incarnation = 1
  /** Between a restore and the incarnation that follows: versions made since the backup are taken in again. */
  #isRestored = false
  /** Devices, in hex, that are to have another package. */
  readonly #rekeys = new Set<string>()
  readonly #lives = new VersionLives()
  /** Sizes of the log that the entries of raised incarnations name. */
  readonly raised: { incarnation: number; since: number }[] = []

  constructor(
    trust: readonly TrustDocument[] | null,
    problem: (what: string) => void,
    query?: ReadQuery,
  ) {
    this.#trust = trust
    this.#problem = problem
    this.#query = query
  }

  /** Who could read what was asked about, those who first could first. */
  get readings(): Reading[] {
    const all = [...this.#readings.values()].flatMap((versions) => [...versions.values()])
    return all
      .map((one) => {
        const destroyed = this.#lives.destructionOf(one.keyring, one.version)?.destroyed ?? null
        return { ...one, destroyed }
      })
      .toSorted((a, b) => a.from - b.from)
  }

  /** Where copies of versions that are asked about went, in the order of the log. */
  get exports(): ExportSaid[] {
    return this.#lives.exports.filter((one) => this.#isAskedOf(one))
  }

  /** Destructions of versions that are asked about. */
  get destructions(): DestructionSaid[] {
    return this.#lives.destructions.filter((one) => this.#isAskedOf(one))
  }

  #isAskedOf({ keyring, version }: { keyring: string; version: string }): boolean {
    return (this.#query?.keyring ?? keyring) === keyring && this.#isAsked(version)
  }

  /** Takes the next leaf. */
  take(leaf: Bytes): void {
    const index = this.#count++
    const wrong = (what: string): void => this.#problem(`entry ${index}: ${what}`)
    let entry: LogEntry
    try {
      entry = decodeEntry(leaf)
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      return wrong(`${error.message} (${error.code})`)
    }
    if ((index === 0) !== (entry.event === 'tenant-created'))
      wrong('the tenant is made in the first entry, and only there')
    if (entry.event === 'released') this.#release(entry, wrong)
    else if ('keyring' in entry) this.#keyring(entry, wrong)
    else this.#tenant(entry, wrong)
  }

  /** After the last entry. */
  end(): void {
    if (this.#trust !== null && this.#published < this.#trust.length)
      this.#problem(`no entry of trust document ${this.#published + 1}`)
  }

  #tenant(entry: LogEntry, wrong: (what: string) => void): void {
    const trust = this.#trust
    if (entry.event === 'tenant-created' && trust !== null) {
      const { body, tenant } = trust[0]!
      const isKnown = body.authority.keys.some((key) => equal(key, entry.authority))
      if (entry.tenant !== tenant || !isKnown) wrong('of another tenant')
    } else if (entry.event === 'trust-published') {
      const { number, hash } = entry
      if (number !== this.#published + 1) wrong(`trust document ${number} after ${this.#published}`)
      this.#published = number
      const named = trust?.[number - 1]
      if (trust !== null && (named === undefined || !equal(named.hash, hash)))
        wrong(`another trust document ${number}`)
    } else if (entry.event === 'incarnation-raised') {
      const { incarnation, since } = entry
      if (incarnation <= this.#incarnation)
        wrong(`incarnation ${incarnation} after ${this.#incarnation}`)
      const named = trust?.[entry.trust - 1]
      if (trust !== null && named?.body.incarnation !== incarnation)
        wrong(`trust document ${entry.trust} is not of incarnation ${incarnation}`)
      this.#incarnation = incarnation
      this.#isRestored = false
      this.raised.push({ incarnation, since })
    } else if (entry.event === 'catalog-signed') {
      if (entry.number <= this.#catalog) wrong(`catalog ${entry.number} after ${this.#catalog}`)
      this.#catalog = entry.number
    } else if (entry.event === 'catalog-proposed') {
      const last = Math.max(this.#proposed, this.#catalog)
      if (entry.number <= last) wrong(`catalog ${entry.number} proposed after ${last}`)
      this.#proposed = entry.number
    } else if (entry.event === 'backup-restored') this.#isRestored = true
    else if (entry.event === 'rekey-ordered') this.#rekeys.add(hex(entry.device))
    else if (entry.event === 'device-rekeyed' && !this.#rekeys.delete(hex(entry.device)))
      wrong(`device ${hex(entry.device)} is re-keyed, and nobody ordered that`)
  }

  #keyring(entry: KeyringEntry, wrong: (what: string) => void): void {
    const id = hex(entry.keyring)
    if (entry.event === 'request-refused') return
    if (entry.event === 'keyring-created') {
      if (this.#rings.has(id)) wrong(`keyring ${id} is made again`)
      this.#rings.set(id, {
        kind: entry.kind,
        generation: 0,
        version: 0,
        members: new Set(),
        watched: new Map(),
        bundled: new Set(),
        bundle: null,
      })
      return
    }
    const ring = this.#rings.get(id)
    if (ring === undefined) return wrong(`keyring ${id} was never made`)
    // Entries on one version are of the present incarnation only where it is encrypted under.
    const isAny =
      isVersionEntry(entry) && (entry.event !== 'version-activated' || entry.version === 0)
    const isFound = this.#isRestored && entry.event === 'version-created'
    if (!isAny && !isFound && 'incarnation' in entry && entry.incarnation !== this.#incarnation)
      wrong(`incarnation ${entry.incarnation} in ${this.#incarnation}`)
    if (isVersionEntry(entry)) this.#lives.take(entry, ring.kind, ring.version, wrong)
    else if (entry.event === 'generation-created') {
      if (entry.generation !== ring.generation + 1)
        wrong(`generation ${entry.generation} after ${ring.generation}`)
      ring.generation = entry.generation
      ring.bundled = new Set()
    } else if (entry.event === 'version-created') {
      if (entry.version !== ring.version + 1 && !(isFound && entry.version > ring.version))
        wrong(`version ${entry.version} after ${ring.version}`)
      ring.version = entry.version
    } else if (entry.event === 'bundle-made') {
      if (entry.generation !== ring.generation)
        wrong(`a bundle of generation ${entry.generation} in ${ring.generation}`)
      ring.bundle = entry.bundle
      const versions = entry.versions.split(' ')
      this.#lives.bundle(id, versions, wrong)
      for (const version of versions) {
        if (version === '' || ring.bundled.has(version)) continue
        if (Number(version.split('.')[1]) > ring.version) wrong(`no version ${version} was made`)
        ring.bundled.add(version)
        if (!this.#isAsked(version)) continue
        for (const [device, uri] of ring.watched) this.#read(id, version, device, uri, entry.time)
      }
    } else if (isMemberEntry(entry)) this.#member(id, ring, entry, wrong)
  }

  #member(id: string, ring: RingState, entry: MemberEntry, wrong: (what: string) => void): void {
    const device = hex(entry.device)
    const isMember = ring.members.has(device)
    const { event, uri, time } = entry
    if (isMember === (event === 'member-added'))
      wrong(`${event} of ${uri}, which is ${isMember ? 'a' : 'no'} member`)
    if (event === 'member-removed') {
      ring.members.delete(device)
      ring.watched.delete(device)
      for (const one of this.#readings.get(`${id} ${device}`)?.values() ?? []) one.removed = time
      return
    }
    ring.members.add(device)
    if (!this.#isWatched(id, uri)) return
    ring.watched.set(device, uri)
    for (const version of ring.bundled)
      if (this.#isAsked(version)) this.#read(id, version, device, uri, time)
  }

  #isWatched(keyring: string, uri: string): boolean {
    const query = this.#query
    if (query === undefined) return false
    return (query.keyring ?? keyring) === keyring && (query.uri ?? uri) === uri
  }

  #isAsked(version: string): boolean {
    const asked = this.#query?.version
    return asked === undefined || asked === version || asked === version.split('.')[1]
  }

  #read(keyring: string, version: string, device: string, uri: string, time: number): void {
    const key = `${keyring} ${device}`
    const own = this.#readings.get(key) ?? new Map<string, Reading>()
    this.#readings.set(key, own)
    const known = own.get(version)
    if (known !== undefined) known.removed = null
    else
      own.set(version, {
        keyring,
        version,
        device,
        uri,
        from: time,
        removed: null,
        destroyed: null,
      })
  }

  #release(
    { release }: Extract<LogEntry, { event: 'released' }>,
    wrong: (what: string) => void,
  ): void {
    const id = hex(release.keyring)
    const ring = this.#rings.get(id)
    if (ring === undefined) return wrong(`keyring ${id} was never made`)
    const { generation, incarnation, members, encrypt } = release
    if (incarnation !== this.#incarnation)
      wrong(`incarnation ${incarnation} in ${this.#incarnation}`)
    if (generation !== ring.generation)
      wrong(`a release of generation ${generation} in ${ring.generation}`)
    if (ring.bundle === null || !equal(ring.bundle, release.bundle))
      wrong('a release of another bundle than the last one')
    if (members.size !== ring.members.size)
      wrong(`a release of ${members.size} members, where ${ring.members.size} were added`)
    if (encrypt.version > ring.version) wrong(`no version ${encrypt.version} was made`)
    this.#lives.release(id, encrypt, wrong)
  }
}

const MEMBERS = ['"event":"member-added"', '"event":"member-removed"']
const OTHERS = [
  '"event":"keyring-created"',
  '"event":"generation-created"',
  '"event":"bundle-made"',
  '"event":"version-exported"',
  '"event":"destruction-ordered"',
  '"event":"salts-erased"',
  '"event":"version-destroyed"',
]

/** Whether an entry can change an answer. By its text: reading every entry of a long log would take most of the time. */
function concerns(leaf: Bytes, { keyring, uri }: ReadQuery): boolean {
  const text = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.length)
  if (keyring !== undefined && !text.includes(base64url(fromHex(keyring)))) return false
  const isMember = MEMBERS.some((event) => text.includes(event))
  if (isMember) return uri === undefined || text.includes(JSON.stringify(uri))
  return OTHERS.some((event) => text.includes(event))
}

/** Who could read what, as the entries of a log say; what does not fit is for a check to tell. */
export function follow(leaves: Iterable<Bytes>, query: ReadQuery): Follower {
  const follower = new Follower(null, () => {}, query)
  for (const leaf of leaves) if (concerns(leaf, query)) follower.take(leaf)
  return follower
}
