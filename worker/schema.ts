/**
 * Tables of a tenant's database. After `npm run migrations` append ` WITHOUT ROWID` by hand to every new table whose key is no
 * integer: a row is then one written row, not two. Small columns stand before bodies, so that a scan of them does not read the
 * bodies' overflow pages.
 */
import { customType, integer, primaryKey, sqliteTable } from 'drizzle-orm/sqlite-core'
import { type Bytes } from '../shared/bytes.ts'

const bytes = customType<{ data: Bytes; driverData: ArrayBuffer | Bytes }>({
  dataType: () => 'blob',
  fromDriver: (value) => new Uint8Array(value as ArrayBuffer),
})

/** Immutable objects by their hash. `created` is seconds. */
export const objects = sqliteTable('objects', {
  hash: bytes('hash').primaryKey(),
  created: integer('created').notNull(),
  body: bytes('body').notNull(),
})

/** Trust documents by number, all of them: a new client follows the whole chain. */
export const trusts = sqliteTable('trusts', {
  number: integer('number').primaryKey(),
  hash: bytes('hash').notNull(),
  envelope: bytes('envelope').notNull(),
})

/**
 * The newest CRL of each issuer. `isDelivered` marks those that a client needs to check the deriver, `isVerified` those that stand on more than the word of whoever
 * enrolled: on an anchor's signature, or on a head that named them.
 */
export const crls = sqliteTable('crls', {
  issuer: bytes('issuer').primaryKey(),
  number: integer('number').notNull(),
  hash: bytes('hash').notNull(),
  nextUpdate: integer('next_update').notNull(),
  isDelivered: integer('is_delivered', { mode: 'boolean' }).notNull(),
  isVerified: integer('is_verified', { mode: 'boolean' }).notNull().default(false),
  der: bytes('der').notNull(),
})

/** One row, id 1: the head and the catalog that it names. A push changes both at once. */
export const current = sqliteTable('current', {
  id: integer('id').primaryKey(),
  hash: bytes('hash').notNull(),
  incarnation: integer('incarnation').notNull(),
  version: integer('version').notNull(),
  releasesIndex: bytes('releases_index').notNull(),
  releasesRoot: bytes('releases_root').notNull(),
  releasesSize: integer('releases_size').notNull(),
  catalogNumber: integer('catalog_number').notNull(),
  catalogHash: bytes('catalog_hash').notNull(),
  manifestsIndex: bytes('manifests_index').notNull(),
  manifestsRoot: bytes('manifests_root').notNull(),
  manifestsSize: integer('manifests_size').notNull(),
  head: bytes('head').notNull(),
  catalog: bytes('catalog').notNull(),
})

/** Heads whose log is not that of the one before, as they came: what a deriver showed can be held against the log that it has later. */
export const heads = sqliteTable('heads', {
  seq: integer('seq').primaryKey(),
  logSize: integer('log_size').notNull(),
  logRoot: bytes('log_root').notNull(),
  envelope: bytes('envelope').notNull(),
})

/** Trees of heads that were replaced, with the time of that: what they name is kept for a while. `replaced` is seconds. */
export const past = sqliteTable(
  'past',
  {
    releasesIndex: bytes('releases_index').notNull(),
    releasesRoot: bytes('releases_root').notNull(),
    releasesSize: integer('releases_size').notNull(),
    manifestsIndex: bytes('manifests_index').notNull(),
    manifestsRoot: bytes('manifests_root').notNull(),
    manifestsSize: integer('manifests_size').notNull(),
    replaced: integer('replaced').notNull(),
  },
  (table) => [primaryKey({ columns: [table.releasesIndex, table.manifestsIndex] })],
)

/** Tickets that opened a socket, by the hash of what was signed, until they have run out. */
export const tickets = sqliteTable('tickets', {
  hash: bytes('hash').primaryKey(),
  expires: integer('expires').notNull(),
})

/** One row, id 1, where the operator changed something: `null` is the default of worker/settings.ts. */
export const settings = sqliteTable('settings', {
  id: integer('id').primaryKey(),
  isSuspended: integer('is_suspended', { mode: 'boolean' }).notNull(),
  bytes: integer('bytes'),
  objects: integer('objects'),
  mailbox: integer('mailbox'),
  sockets: integer('sockets'),
  calls: integer('calls'),
})

/** The mailbox: key requests that wait for the deriver. `signer` is the certificate's fingerprint. */
export const requests = sqliteTable('requests', {
  seq: integer('seq').primaryKey(),
  hash: bytes('hash').notNull(),
  signer: bytes('signer').notNull(),
  expires: integer('expires').notNull(),
  body: bytes('body').notNull(),
})

/** One refusal for each client and keyring. */
export const refusals = sqliteTable(
  'refusals',
  {
    recipient: bytes('recipient').notNull(),
    keyring: bytes('keyring').notNull(),
    expires: integer('expires').notNull(),
    envelope: bytes('envelope').notNull(),
  },
  (table) => [primaryKey({ columns: [table.recipient, table.keyring] })],
)

/** One row, id 1: the highest request that the deriver has dealt with. */
export const mailbox = sqliteTable('mailbox', {
  id: integer('id').primaryKey(),
  done: integer('done').notNull(),
})
