/** What the entries of a log say of versions (docs/PROTOCOL.md, "Audit log"): where copies of them went, and how far their destruction is. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { type LogEntry } from '../shared/log.ts'

/** A version that was wrapped for other key services. */
export interface ExportSaid {
  /** Keyring id, in hex. */
  keyring: string
  /** As `incarnation.version`. */
  version: string
  /** Seconds. */
  at: number
  /** Targets, methods and fingerprints of wrapping keys, as the entry has them. */
  targets: string
  /** Document hash of the record, in hex. */
  record: string
}

/** A destruction, as far as the log has come. Times are seconds, and `null` before they have come. */
export interface DestructionSaid {
  /** Keyring id, in hex. */
  keyring: string
  /** As `incarnation.version`. */
  version: string
  ordered: number
  erased: number | null
  /** From then on nobody has it, as the entry of its salts says. */
  completes: number | null
  destroyed: number | null
  /** Document hash of the record, in hex. */
  record: string | null
}

const EVENTS = [
  'version-activated',
  'version-retired',
  'version-compromised',
  'version-exported',
  'version-imported',
  'destruction-ordered',
  'salts-erased',
  'version-destroyed',
] as const

/** An entry on one version, which may be of an earlier incarnation. */
export type VersionEntry = Extract<LogEntry, { event: (typeof EVENTS)[number] }>

/** Whether an entry is on one version. */
export function isVersionEntry(entry: LogEntry): entry is VersionEntry {
  return (EVENTS as readonly string[]).includes(entry.event)
}

type Numbered = { incarnation: number; version: number }
const nameOfVersion = ({ incarnation, version }: Numbered): string => `${incarnation}.${version}`

type Destruction = DestructionSaid & { keyId: Bytes }

/** Follows the entries on versions of all keyrings. */
export class VersionLives {
  /** The version to encrypt with by keyring, once an entry says so: logs of earlier deriver versions have none. */
  readonly #activated = new Map<string, string>()
  readonly #destructions = new Map<string, Destruction>()
  readonly exports: ExportSaid[] = []

  get destructions(): DestructionSaid[] {
    return [...this.#destructions.values()].map((one) => {
      const { keyId: _keyId, ...said } = one
      return said
    })
  }

  /** The destruction of a version; `undefined` where none was ordered. */
  destructionOf(keyring: string, version: string): DestructionSaid | undefined {
    return this.#destructions.get(`${keyring} ${version}`)
  }

  /** Takes an entry on a version of a keyring of this kind whose newest version is `last`. */
  take(entry: VersionEntry, kind: string, last: number, wrong: (what: string) => void): void {
    const keyring = hex(entry.keyring)
    const version = nameOfVersion(entry)
    if (entry.version > last) wrong(`no version ${entry.version} was made`)
    const known = this.#destructions.get(`${keyring} ${version}`)
    if (entry.event === 'version-activated') {
      if (known !== undefined) wrong(`version ${version} is activated, and was to be destroyed`)
      this.#activated.set(keyring, version)
    } else if (entry.event === 'version-exported') {
      const { time: at, targets, record } = entry
      this.exports.push({ keyring, version, at, targets, record: hex(record) })
    } else if (entry.event === 'destruction-ordered') {
      if (kind !== 'erasable') wrong(`a version of a keyring of kind ${kind} is to be destroyed`)
      if (known !== undefined) return wrong(`version ${version} is to be destroyed again`)
      const none = { erased: null, completes: null, destroyed: null, record: null }
      const { time: ordered, keyId } = entry
      this.#destructions.set(`${keyring} ${version}`, { keyring, version, ordered, keyId, ...none })
    } else if (entry.event === 'salts-erased') {
      if (known === undefined || known.erased !== null)
        return wrong(`salts of version ${version} are erased, and nobody ordered that now`)
      known.erased = entry.time
      known.completes = entry.completes
    } else if (entry.event === 'version-destroyed') this.#destroyed(entry, known, wrong)
  }

  #destroyed(
    { time, keyId, record, ...entry }: Extract<LogEntry, { event: 'version-destroyed' }>,
    known: Destruction | undefined,
    wrong: (what: string) => void,
  ): void {
    const version = nameOfVersion(entry)
    if (known === undefined || known.completes === null || known.destroyed !== null)
      return wrong(`version ${version} is destroyed, and its salts were not erased before`)
    if (time < known.completes) wrong(`version ${version} is destroyed before its time`)
    if (!equal(keyId, known.keyId))
      wrong(`another key than that of version ${version} is destroyed`)
    known.destroyed = time
    known.record = hex(record)
  }

  /** A bundle of a keyring with these versions was made. */
  bundle(keyring: string, versions: readonly string[], wrong: (what: string) => void): void {
    const gone = versions.find((one) => this.destructionOf(keyring, one) !== undefined)
    if (gone !== undefined) wrong(`a bundle with version ${gone}, which was to be destroyed`)
  }

  /** A release of a keyring encrypts with this version. */
  release(keyring: string, version: Numbered, wrong: (what: string) => void): void {
    const activated = this.#activated.get(keyring)
    const name = nameOfVersion(version)
    if (activated !== undefined && activated !== name)
      wrong(`a release that encrypts with version ${name}, and ${activated} was activated`)
  }
}
