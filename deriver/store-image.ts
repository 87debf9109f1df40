/** Databases that are looked at and never written: the copy for a backup, and in memory the one of a backup, without a byte of it on a disk. */
import { DatabaseSync } from 'node:sqlite'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { migrateCa } from './ca-schema.ts'
import { migrateStore, storeOver, type Store } from './store.ts'

/** Opens the image of `deriver.db`; the tables of the CA are empty. Throws `ERR_STATE` where it is none. */
export function openImage(image: Bytes): Store {
  const db = new DatabaseSync(':memory:')
  try {
    db.deserialize(image)
    db.exec("PRAGMA temp_store = MEMORY; ATTACH ':memory:' AS ca")
    migrateCa(db, 'ca')
    migrateStore(db, 'the backup')
    return storeOver(db)
  } catch (cause) {
    db.close()
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError('ERR_STATE', 'the backup holds no database', { cause })
  }
}

/** Opens a copy that was just made, for reading. */
export function openCopy(path: string): Store {
  const db = new DatabaseSync(path, { readOnly: true })
  db.exec('PRAGMA temp_store = MEMORY')
  return storeOver(db)
}
