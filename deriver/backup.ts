/**
 * A backup: everything that a deriver needs, in one encrypted file, made while the service runs. Key files stand in it opened, so that cards alone give every key
 * again, whatever became of the passphrase; of roots in an HSM or a key service only the place.
 */
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { encodeJson } from '../shared/json.ts'
import { writeBackup, type BackupHeader, type Progress } from './backup-file.ts'
import { readReference } from './key-reference.ts'
import { appendLog, emptyLog, readLog } from './log.ts'
import { latestHead } from './heads.ts'
import { listRoots, openRoots } from './roots.ts'
import { newCosts, openKeyFile, sealKeyFile, stretch } from './secret.ts'
import { setName } from './share-card.ts'
import { readBackupKey } from './shares.ts'
import { requireSoundStore, takeSnapshot } from './snapshot.ts'
import { openCopy } from './store-image.ts'
import { type Store } from './store.ts'
import { newestTrust } from './trust.ts'

/** What a backup is told. */
export interface BackupOptions {
  directory: string
  /** Opens the key files; `null` where they are unsealed. */
  passphrase: string | null
  /** Seals the backup, in place of the cards' key. */
  sealWith: string | null
  path: string
  /** Seconds. */
  now: number
  progress?: Progress
  signal?: AbortSignal
}

/** Certificates of the built-in CAs, and settings, which hold no secret. */
const BESIDE = /^(keyferry\.json|ca-[a-z-]+\.pem)$/

type Entry = BackupHeader['files'][number]
interface Small {
  entry: Entry
  bytes: Bytes
}

/** Key files, opened, and what is public beside them. */
function smallFiles(directory: string, passphrase: string | null): Small[] {
  const out: Small[] = []
  const folder = join(directory, 'keys')
  for (const file of readdirSync(folder).toSorted()) {
    if (!file.endsWith('.json')) continue
    const path = join(folder, file)
    const name = `keys/${file}`
    if (readReference(path) !== null) {
      const bytes = new Uint8Array(readFileSync(path))
      out.push({ entry: { form: 'public', name, size: bytes.length }, bytes })
      continue
    }
    const { purpose, secret, sealed } = openKeyFile(path, passphrase)
    const bytes = encodeJson(sealKeyFile(secret, purpose, null))
    secret.fill(0)
    out.push({ entry: { form: sealed ? 'sealed-key' : 'key', name, size: bytes.length }, bytes })
  }
  for (const name of readdirSync(directory)
    .toSorted()
    .filter((one) => BESIDE.test(one))) {
    const bytes = new Uint8Array(readFileSync(join(directory, name)))
    out.push({ entry: { form: 'public', name, size: bytes.length }, bytes })
  }
  return out
}

interface Sealing {
  key: Bytes
  sealing: BackupHeader['sealing']
}

/** What seals the backup. Throws `ERR_USAGE` where there is neither a set of cards nor a passphrase. */
function sealingOf({ directory, passphrase, sealWith }: BackupOptions): Sealing {
  if (sealWith !== null) {
    const costs = newCosts()
    const key = new Uint8Array(stretch(sealWith, costs).subarray(0, 32))
    const none = { need: 0, set: new Uint8Array() }
    return { key, sealing: { by: 'passphrase', ...none, ...costs } }
  }
  const own = readBackupKey(directory, passphrase)
  if (own === null)
    throw new KeyferryError('ERR_USAGE', 'there are no cards that could open a backup', {
      hint: 'keyferry shares make, or --by passphrase',
    })
  const { key, set, need } = own
  const none = { memory: 0, passes: 0, salt: new Uint8Array() }
  return { key, sealing: { by: 'shares', need, set, ...none } }
}

/** What a database says of itself, for the header. Throws `ERR_STATE`. */
async function describeStore(
  store: Store,
): Promise<Omit<BackupHeader, 'files' | 'made' | 'sealing'>> {
  const count = (sql: string): number => store.get<{ n: number | null }>(sql)?.n ?? 0
  const head = latestHead(store)
  const { tenant, body } = await newestTrust(store)
  return {
    catalog: count('SELECT max(number) AS n FROM catalogs'),
    head: { hash: new Uint8Array(head?.hash ?? []), version: head?.version ?? 0 },
    incarnation: store.counter('incarnation'),
    log: readLog(store, emptyLog()),
    roots: listRoots(store).map(({ name, place }) => ({ name, place })),
    tenant,
    trust: body.number,
    versions: count('SELECT count(*) AS n FROM versions'),
  }
}

/** Throws `ERR_CLOCK` where the clock is before what was signed last: a backup of that date would be taken for an older one. */
function requireClock(store: Store, skew: number, now: number): void {
  // The newest, not the latest: a clock that was ahead for an hour keeps no backup back for as long as it was ahead.
  const last = store.get<{ issued: number }>(
    'SELECT issued FROM heads ORDER BY version DESC LIMIT 1',
  )
  if (last !== undefined && now + skew < last.issued)
    throw new KeyferryError('ERR_CLOCK', 'the clock is before the newest head of this database', {
      hint: 'set the clock of this machine; where it was ahead before, keyferry run signs a head of now',
    })
}

/**
 * Makes a backup, and says so in the log first. Throws `ERR_EXISTS`, `ERR_IO`, `ERR_PASSPHRASE`, `ERR_STATE` for a damaged database, `ERR_CLOCK`, and what roots
 * throw: what cannot derive is no backup. Nothing stays of one that fails.
 */
export async function makeBackup(store: Store, options: BackupOptions): Promise<BackupHeader> {
  const { directory, passphrase, path, now, progress = () => {} } = options
  if (existsSync(path)) throw new KeyferryError('ERR_EXISTS', `${path} is there already`)
  requireSoundStore(store)
  const trust = await newestTrust(store)
  requireClock(store, trust.body.skew, now)
  await openRoots(store, trust.tenant, { directory, passphrase })
  const { key, sealing } = sealingOf(options)
  const small = smallFiles(directory, passphrase)
  store.transaction(() => {
    const set = sealing.by === 'shares' ? setName(sealing.set) : ''
    appendLog(store, 'backup-made', now, { set })
  })
  const snapshot = takeSnapshot(store, directory)
  try {
    const copy = openCopy(snapshot.files[0]!.path)
    const said = await describeStore(copy).finally(() => copy.close())
    const databases = snapshot.files.map(({ name, size }): Entry => ({
      form: 'database',
      name,
      size,
    }))
    const files = [...databases, ...small.map(({ entry }) => entry)]
    const header = { ...said, files, made: now, sealing }
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const file of snapshot.files) yield* createReadStream(file.path) as AsyncIterable<Buffer>
      for (const { bytes } of small) yield bytes
    }
    await writeBackup(path, key, header, source(), progress, options.signal)
    return header
  } finally {
    snapshot.close()
    for (const { bytes } of small) bytes.fill(0)
    key.fill(0)
  }
}
