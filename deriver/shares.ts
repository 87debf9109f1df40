/**
 * The key that seals backups, split among people (Shamir, by the package shamir-secret-sharing): any `need` of the cards give it again. What is shared is never the
 * master secret: a wrong combination gives another key, and that opens nothing.
 */
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { combine, split } from 'shamir-secret-sharing'
import { concat, equal, utf8, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { keyFilePath } from './key-files.ts'
import { appendLog } from './log.ts'
import { writeNewFile } from './new-file.ts'
import { random } from './random.ts'
import { readKeyFile, writeKeyFile } from './secret.ts'
import { cardPage, cardText, setName, type CardNotes, type Share } from './share-card.ts'
import { type Store } from './store.ts'

/** Cards of a set at most. */
const MOST_CARDS = 16
const PURPOSE = 'backup-key'

/** The key that a deriver seals its backups with. */
export interface BackupKey {
  /** 32 bytes. */
  key: Bytes
  set: Bytes
  need: number
  of: number
}

/** Name of the set of a key: a wrong combination of cards has another one. 8 bytes. */
function setOf(key: Bytes): Bytes {
  const mac = createHmac('sha256', key).update(utf8('keyferry/v1/card-set\0')).digest()
  return new Uint8Array(mac.subarray(0, 8))
}

/** Splits a key, and puts it together again to see that it can be. */
export async function splitKey(key: Bytes, need: number, of: number): Promise<Share[]> {
  if (need < 2 || need > of || of > MOST_CARDS)
    throw new KeyferryError('ERR_USAGE', `2 to ${MOST_CARDS} cards, of which at least 2 are needed`)
  const values = (await split(key, of, need)) as Bytes[]
  const set = setOf(key)
  const shares = values.map((value, i) => ({ set, need, of, number: i + 1, value }))
  for (let at = 0; at + need <= of; at++) {
    const again = await combineShares(shares.slice(at, at + need))
    if (!equal(again, key)) throw new KeyferryError('ERR_STATE', 'the key could not be split')
    again.fill(0)
  }
  return shares
}

/**
 * The key that cards give. Throws `ERR_DOCUMENT_MISMATCH` for cards of two sets, `ERR_EXISTS` for one that is given twice, `ERR_INCOMPLETE` for too few, and
 * `ERR_OPEN` where they do not belong together for all that they say.
 */
export async function combineShares(shares: readonly Share[]): Promise<Bytes> {
  const [first] = shares
  if (first === undefined) throw new KeyferryError('ERR_INCOMPLETE', 'no card is given')
  const seen = new Set<number>()
  for (const { set, need, of, number } of shares) {
    if (!equal(set, first.set) || need !== first.need || of !== first.of)
      throw new KeyferryError(
        'ERR_DOCUMENT_MISMATCH',
        `card ${number} is of set ${setName(set)}, card ${first.number} of set ${setName(first.set)}`,
      )
    if (seen.has(number)) throw new KeyferryError('ERR_EXISTS', `card ${number} is given twice`)
    seen.add(number)
  }
  if (shares.length < first.need)
    throw new KeyferryError(
      'ERR_INCOMPLETE',
      `${first.need} cards of set ${setName(first.set)} are needed, ${shares.length === 1 ? '1 is' : `${shares.length} are`} given`,
    )
  let key: Bytes
  try {
    key = (await combine(shares.map(({ value }) => value))) as Bytes
  } catch (cause) {
    throw new KeyferryError('ERR_OPEN', 'the cards do not belong together', { cause })
  }
  // By this alone nobody learns the key; that it is the right one, the backup's own authentication says as well.
  if (!equal(setOf(key), first.set))
    throw new KeyferryError('ERR_OPEN', 'the cards do not belong together')
  return key
}

/** The key that backups are sealed with; `null` where none was shared. Throws `ERR_IO`, `ERR_PASSPHRASE`. */
export function readBackupKey(directory: string, passphrase: string | null): BackupKey | null {
  const path = keyFilePath(directory, PURPOSE)
  if (!existsSync(path)) return null
  const [need, of, ...key] = readKeyFile(path, PURPOSE, passphrase)
  const bytes = Uint8Array.from(key)
  return { key: bytes, set: setOf(bytes), need: need!, of: of! }
}

/** What `makeShares` is told. */
export interface ShareOptions {
  directory: string
  /** Seals the key for the deriver's own backups; `null` where key files are unsealed. */
  passphrase: string | null
  need: number
  /** A name for each card. */
  holders: readonly string[]
  tenant: string
  /** A folder that must not exist yet. */
  out: string
  /** Where there is a set already: its cards open the backups before this one, and no later ones. */
  replace: boolean
  /** Seconds. */
  now: number
}

/**
 * Makes another key for backups and a card for each holder, as text and as a page to print. Throws `ERR_EXISTS` where there is a set already and it is not to be
 * replaced, or the folder is there; `ERR_IO` where that file holds another key. Returns the set's name.
 */
export async function makeShares(store: Store, options: ShareOptions): Promise<string> {
  const { directory, passphrase, need, holders, tenant, out, now } = options
  const path = keyFilePath(directory, PURPOSE)
  if (existsSync(path) && !options.replace)
    throw new KeyferryError('ERR_EXISTS', 'there are cards already', {
      hint: '--replace makes another set; the cards of the one before still open the backups made so far',
    })
  // What is replaced has to be a key of cards: a file of this name may be a root's, added by an earlier version.
  readBackupKey(directory, passphrase)?.key.fill(0)
  const key = random(32)
  const shares = await splitKey(key, need, holders.length)
  try {
    mkdirSync(out, { mode: 0o700 })
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    throw new KeyferryError(isThere ? 'ERR_EXISTS' : 'ERR_IO', `${out} cannot be made`, { cause })
  }
  const part = `${path}.part`
  try {
    for (const [i, share] of shares.entries()) {
      const notes: CardNotes = { tenant, holder: holders[i]!, made: now }
      writeNewFile(join(out, `card-${share.number}.txt`), utf8(cardText(share, notes)))
      writeNewFile(join(out, `card-${share.number}.html`), utf8(cardPage(share, notes)))
    }
    rmSync(part, { force: true })
    writeKeyFile(part, concat(Uint8Array.of(need, holders.length), key), PURPOSE, passphrase)
    store.transaction(() => {
      const set = setName(setOf(key))
      appendLog(store, 'shares-made', now, { need, of: holders.length, set })
    })
    renameSync(part, path)
    return setName(setOf(key))
  } catch (error) {
    rmSync(part, { force: true })
    rmSync(out, { recursive: true, force: true })
    throw error
  } finally {
    for (const bytes of [key, ...shares.map(({ value }) => value)]) bytes.fill(0)
  }
}
