/**
 * A log as a file that stands for itself (docs/audit.md): lines of canonical JSON, read and written without holding the log in memory. First what
 * follows, then trust documents, revocation lists, heads, and the entries as they are hashed.
 */
import { base64url, fromUtf8, utf8, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, encodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { canonicalJson, decodeJson } from '../shared/json.ts'
import { MAX_CRL, MAX_ENVELOPE, MAX_TRUST_STEPS } from '../shared/limits.ts'
import { bytes, int, object, oneOf, text, type Infer } from '../shared/schema.ts'
import { TENANT_ID } from '../shared/trust-following.ts'
import { readLines } from './lines.ts'
import { logLeaves, logOf, logSize } from './log.ts'
import { type Store } from './store.ts'
import { loadTrust } from './trust.ts'

const FORMAT = 'keyferry-audit-1'
/** Bytes of a line at most: a revocation list as base64url, in quotes, or an entry. */
const MAX_LINE = 2_097_152
/** Heads and lists are held in memory: more than a deriver signs in centuries. */
const MOST = 1_000_000

const listSchema = bytes(1, MAX_CRL)
const headerSchema = object({
  crls: int(0, MOST),
  entries: int(),
  format: oneOf(FORMAT),
  heads: int(0, MOST),
  tenant: text(52, TENANT_ID),
  trust: int(1, MAX_TRUST_STEPS),
})

/** How much of everything there is. */
export type AuditHeader = Infer<typeof headerSchema>

/** A log with what is needed to check it; nothing of it is verified. */
export interface AuditSource {
  header: AuditHeader
  trust: Envelope[]
  crls: Bytes[]
  heads: Envelope[]
  /** The entries from the first on; each call is a pass of its own. Throws `ERR_MALFORMED` where there are fewer or more than was said. */
  leaves: () => Iterable<Bytes>
}

/** Signed heads of a store whose log is not that of the head before, of at most `size` entries. */
function* keptHeads(store: Store, size: number): Generator<Envelope, void, undefined> {
  let last = ''
  for (let version = 0; ;) {
    const row = store.get<{ version: number; envelope: Bytes }>(
      'SELECT version, envelope FROM heads WHERE version > ? AND envelope IS NOT NULL ORDER BY version LIMIT 1',
      version,
    )
    if (row === undefined) return
    version = row.version
    const envelope = decodeEnvelope(new Uint8Array(row.envelope))
    const log = logOf(envelope)
    const key = `${log.size} ${base64url(log.root)}`
    if (key !== last && log.size <= size) yield envelope
    last = key
  }
}

/** The log of a deriver's store. */
export async function auditStore(store: Store): Promise<AuditSource> {
  const trust = await loadTrust(store)
  const entries = logSize(store)
  const crls = store
    .all<{ der: Bytes }>('SELECT der FROM crl_history ORDER BY hash')
    .map(({ der }) => new Uint8Array(der))
  const heads = [...keptHeads(store, entries)]
  const { tenant } = trust[0]!
  const counts = { crls: crls.length, entries, heads: heads.length, trust: trust.length }
  return {
    header: { ...counts, format: FORMAT, tenant },
    trust: trust.map(({ envelope }) => envelope),
    crls,
    heads,
    *leaves() {
      let left = entries
      for (const leaf of logLeaves(store)) {
        if (left-- === 0) return
        yield leaf
      }
    },
  }
}

/** The file of a log, line by line. */
export function* writeAudit(source: AuditSource): Generator<Uint8Array, void, undefined> {
  const line = (content: string): Bytes => utf8(`${content}\n`)
  yield line(canonicalJson(source.header))
  for (const one of [...source.trust, ...source.crls, ...source.heads])
    yield line(canonicalJson(one))
  for (const leaf of source.leaves()) yield line(fromUtf8(leaf))
}

/** Reads the file of a log, up to its entries. Throws `ERR_IO`, `ERR_TOO_LARGE` and the codes of decoding. */
export function readAudit(path: string): AuditSource {
  const lines = readLines(path, MAX_LINE)
  const next = (): Bytes => {
    const { value, done } = lines.next()
    if (done === true) throw new KeyferryError('ERR_MALFORMED', 'the file ends too early')
    return value
  }
  try {
    const header = headerSchema(decodeJson(next(), MAX_ENVELOPE), '')
    const many = <T>(count: number, read: (line: Bytes) => T): T[] =>
      Array.from({ length: count }, () => read(next()))
    const envelope = (line: Bytes): Envelope => {
      const decoded = decodeEnvelope(line)
      if (encodeEnvelope(decoded).length !== line.length)
        throw new KeyferryError('ERR_MALFORMED', 'a document of another form')
      return decoded
    }
    const trust = many(header.trust, envelope)
    const crls = many(header.crls, (line) => listSchema(decodeJson(line, MAX_LINE), ''))
    const heads = many(header.heads, envelope)
    const skipped = 1 + header.trust + header.crls + header.heads
    return { header, trust, crls, heads, leaves: () => entriesOf(path, skipped, header.entries) }
  } finally {
    lines.return()
  }
}

function* entriesOf(
  path: string,
  skipped: number,
  count: number,
): Generator<Bytes, void, undefined> {
  let at = 0
  for (const line of readLines(path, MAX_LINE)) {
    if (at >= skipped + count) throw new KeyferryError('ERR_MALFORMED', 'more entries than it says')
    if (at >= skipped) yield line
    at++
  }
  if (at < skipped + count) throw new KeyferryError('ERR_MALFORMED', 'fewer entries than it says')
}
