/** The members of a keyring, with all that their leaves are made from. */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { PAGE_SIZE } from '../shared/tree.ts'
import { type DeviceRow } from './devices.ts'
import { BOUND, type Channel } from './leaves.ts'
import { type Store } from './store.ts'

/** By what it is decided who stays in a new generation. */
export type Member = Pick<DeviceRow, 'key_id' | 'uri' | 'expires'>

/** A member in its slot. */
export interface Seat extends Member, Channel {
  slot: number
}

/** Bytes of a member: key id, what its leaf binds, and the salt of its channel. */
const [KEY_ID, BYTES] = [32, 32 + BOUND + 32]

/** One row of a page. For a row of each member, SQLite and Node take half as long again, or twice as long where the database is in memory. */
interface PageRow {
  /** Of all members, or `null` where there is none. */
  bytes: Bytes | null
  /** In JSON, in the same order. */
  slots: string
  uris: string
  expires: string
  roots: string
}

/** A cross join, so that members are the outer loop and come by slot; all lists are in the same order anyway. */
const PAGE = `SELECT
    CAST(group_concat(d.key_id || d.package_hash || d.channel_id || d.welcome_hash || d.channel_salt, '') AS BLOB) AS bytes,
    json_group_array(m.slot) AS slots, json_group_array(d.uri) AS uris,
    json_group_array(d.expires) AS expires, json_group_array(d.root) AS roots
  FROM members m CROSS JOIN devices d ON d.key_id = m.device
  WHERE m.keyring = ? AND m.slot >= ? AND m.slot < ?`

const numbers = (json: string): number[] => JSON.parse(json) as number[]

/** The members of one page, by slot. Throws `ERR_STATE` where a device has bytes of another length than it was written with. */
export function seatsOf(store: Store, keyring: Bytes, page: number): Seat[] {
  const row = store.get<PageRow>(PAGE, keyring, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)!
  const [slots, expires, roots] = [row.slots, row.expires, row.roots].map(numbers)
  const bytes = row.bytes ?? new Uint8Array()
  if (bytes.length !== BYTES * slots!.length)
    throw new KeyferryError('ERR_STATE', 'a device of a keyring is not whole')
  return (JSON.parse(row.uris) as string[]).map((uri, i) => {
    const at = BYTES * i
    return {
      slot: slots![i]!,
      uri,
      expires: expires![i]!,
      root: roots![i]!,
      key_id: bytes.subarray(at, at + KEY_ID),
      bound: bytes.subarray(at + KEY_ID, at + KEY_ID + BOUND),
      salt: bytes.subarray(at + KEY_ID + BOUND, at + BYTES),
    }
  })
}
