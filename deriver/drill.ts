/**
 * A drill: a backup opened as for a restore, and every key derived and compared, in memory alone. Nothing is written, nothing secret is returned, and what was opened
 * is erased at the end.
 */
import { backupFiles, openBackup, type BackupHeader, type Progress } from './backup-file.ts'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { unknownNames, type KeyIdCheck } from './key-ids.ts'
import { asOpeningError, backupKey, checkBackup, rootsOf, type Opener } from './open-backup.ts'
import { openImage } from './store-image.ts'

/** What a drill found. */
export interface DrillReport {
  header: BackupHeader
  versions: KeyIdCheck[]
}

/** Files of a backup in memory: room is made once, so that no earlier copy stays behind. */
async function unpack(
  file: ReturnType<typeof openBackup>,
  key: Bytes,
  progress: Progress | undefined,
): Promise<Map<string, Bytes>> {
  const out = new Map<string, Bytes>()
  let at = 0
  for await (const { entry, piece, isLast } of backupFiles(file, key, progress)) {
    // The tables of the CA give no key.
    if (entry.name === 'ca.db') continue
    const whole = out.get(entry.name) ?? new Uint8Array(entry.size)
    out.set(entry.name, whole)
    whole.set(piece, at)
    piece.fill(0)
    at = isLast ? 0 : at + piece.length
  }
  return out
}

/**
 * Derives the key ids of all versions, or of those named, from a backup. `directory` is where roots outside of the backup are looked for. Throws what opening a backup
 * and its roots throws, `ERR_STATE` where the backup is not what it says, `ERR_NOT_FOUND` for a name that is not in it.
 */
export async function drill(
  path: string,
  opener: Opener,
  {
    directory,
    names,
    progress,
  }: { directory: string; names: readonly string[]; progress?: Progress },
): Promise<DrillReport> {
  const file = openBackup(path)
  const { header } = file
  let files = new Map<string, Bytes>()
  try {
    const key = await backupKey(header, opener)
    files = await unpack(file, key, progress)
    key.fill(0)
    const image = files.get('deriver.db')
    if (image === undefined) throw new KeyferryError('ERR_STATE', 'the backup holds no database')
    const store = openImage(image)
    try {
      const root = await rootsOf(store, header, files, directory)
      const versions = await checkBackup(store, header, root, names)
      const [unknown] = unknownNames(versions, names)
      if (unknown !== undefined)
        throw new KeyferryError('ERR_NOT_FOUND', `the backup has no ${unknown}`)
      return { header, versions }
    } finally {
      store.close()
    }
  } catch (error) {
    throw asOpeningError(header, error)
  } finally {
    file.close()
    for (const bytes of files.values()) bytes.fill(0)
  }
}
