/** Entries of a deriver's audit log, exact to the byte (docs/PROTOCOL.md, "Audit log"): what is written, and what a release has to stand there as. */
import { type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { decodeJson, encodeJson } from './json.ts'
import { MAX_LOG_LEAF } from './limits.ts'
import { releaseFields, type Release } from './release.ts'
import { bytes, int, object, oneOf, text, type Schema } from './schema.ts'

const keyring = bytes(16)
const incarnation = int(1, 0xffffffff)
const hash = bytes(32)
const uri = text(16_384)
const version = int(1, 0xffffffff)
const member = { device: hash, keyring, package: hash, uri }
const ofVersion = { incarnation, keyring, version }
const rules = text(MAX_LOG_LEAF)

/** Fields of the entries, beside `event` and `time`, by what happened. */
const FIELDS = {
  'tenant-created': { authority: bytes(32, 128), tenant: text(52) },
  'trust-published': { hash, number: int(1) },
  'incarnation-raised': { incarnation, since: int(), trust: int(1) },
  'catalog-proposed': { number: int(1), root: hash },
  'catalog-signed': { number: int(1), root: hash },
  'keyring-created': { keyring, kind: oneOf('recoverable', 'erasable', 'imported'), rules },
  'generation-created': { generation: int(1), incarnation, keyring },
  'version-created': ofVersion,
  'version-activated': { incarnation: int(0, 0xffffffff), keyring, version: int(0, 0xffffffff) },
  'version-retired': ofVersion,
  'version-compromised': ofVersion,
  'destruction-ordered': { ...ofVersion, keyId: hash, retention: int() },
  'salts-erased': { ...ofVersion, completes: int() },
  'version-destroyed': { ...ofVersion, keyId: hash, record: hash },
  'bundle-made': {
    bundle: hash,
    generation: int(1),
    incarnation,
    keyring,
    versions: text(MAX_LOG_LEAF, /^(\d+\.\d+( \d+\.\d+)*)?$/),
  },
  'member-added': member,
  'package-rotated': member,
  'member-rewelcomed': member,
  'member-removed': { device: hash, keyring, uri },
  'request-refused': { keyring, reason: text(300), recipient: hash, refusal: hash, uri },
  'request-kept': { device: hash, keyring, recipient: hash, refusal: hash, uri },
  'request-approved': { device: hash, keyring, uri },
  'request-denied': { device: hash, keyring, reason: text(300), uri },
  'rules-changed': { added: rules, keyring, removed: rules },
  'rule-allowed': { keyring, rules },
  'rekey-ordered': { device: hash, package: hash, uri },
  'device-rekeyed': { device: hash },
  'device-denied': { device: hash, uri },
  'certificate-revoked': { serial: text(64), uri },
  'version-exported': {
    incarnation,
    keyId: hash,
    keyring,
    record: hash,
    targets: text(MAX_LOG_LEAF),
    version,
  },
  'import-proposed': { by: text(1_024), name: text(1_024) },
  'version-imported': { by: text(2_050), incarnation, keyId: hash, keyring, version },
  'root-added': { name: text(64), place: text(1_024), root: int(1) },
  'root-used': { name: text(64), root: int(1) },
  'root-removed': { name: text(64), root: int(1) },
  'shares-made': { need: int(2, 16), of: int(2, 16), set: text(13) },
  'backup-made': { set: text(13) },
  'backup-restored': { head: int(), incarnation, made: int() },
  'console-opened': { by: text(64), session: hash },
  'console-ordered': { action: text(1_000), by: text(64), session: hash },
} as const

/** What happened, as a past fact; `released` has an entry of its own form. */
export type LogEvent = keyof typeof FIELDS

/** What an entry of an event says, beside `event` and `time`. */
export type Details<E extends LogEvent> = {
  [N in keyof (typeof FIELDS)[E]]: (typeof FIELDS)[E][N] extends Schema<infer T> ? T : never
}

/** An entry. `time` is seconds. */
export type LogEntry =
  | { [E in LogEvent]: { event: E; time: number } & Details<E> }[LogEvent]
  | { event: 'released'; release: Omit<Release, 'log'> }

const { log: _log, ...contents } = releaseFields
const releasedSchema = object({ event: oneOf('released'), release: object(contents) })

const schemas = new Map<unknown, Schema<unknown>>(
  Object.entries(FIELDS).map(([event, fields]) => [
    event,
    object({ ...fields, event: text(32), time: int() }),
  ]),
)
schemas.set('released', releasedSchema)

/** Leaf of an entry. */
export function encodeEntry<E extends LogEvent>(
  event: E,
  time: number,
  details: Details<E>,
): Bytes {
  return encodeJson({ ...details, event, time })
}

/** Leaf of a release, by what it says without its index: anyone who holds a release can compute it. */
export function releaseLeaf(release: Omit<Release, 'log'>): Bytes {
  const { log: _index, ...said } = release as Release
  return encodeJson({ event: 'released', release: said })
}

/** Decodes a leaf. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_NOT_CANONICAL`, `ERR_SCHEMA`. */
export function decodeEntry(leaf: Bytes): LogEntry {
  // PROTOCOL [log-1]
  const value = decodeJson(leaf, MAX_LOG_LEAF)
  const schema = schemas.get((value as { event?: unknown } | null)?.event)
  if (schema === undefined) throw new KeyferryError('ERR_SCHEMA', 'no such entry')
  return schema(value, '') as LogEntry
}
