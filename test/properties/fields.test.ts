// The field-swap matrix: every field of every signed or hashed document of a delivery, changed alone in an otherwise legitimate one, honestly signed
// and hashed again. What the client then says stands in the table; a field that is not in it fails.
import { beforeAll, describe, expect, it } from 'vitest'
import { openDelivery, type Accepted, type KeyringView } from '../../shared/open.ts'
import { unwrapCell, unwrapName, unwrapVersion } from '../../shared/unwrap.ts'
import { openWelcome } from '../../shared/welcome.ts'
import { versionToEncrypt } from '../../shared/use.ts'
import {
  channelOf,
  lastContext,
  makeDelivery,
  makeWorld,
  openContext,
  type Edits,
  type World,
} from '../lib/fixtures-delivery.ts'
import { outcome } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { NOW } from '../lib/fixtures.ts'

let world: World
let accepted: Accepted

beforeAll(async () => {
  world = await makeWorld()
  accepted = (await openDelivery(await makeDelivery(world), openContext(world))).accepted
})

/** Paths of all values in a body: of numbers, texts, bytes, and of lists as a whole. */
function pathsOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [path]
  const inside = Object.entries(value).flatMap(([name, one]) =>
    pathsOf(one, path === '' ? name : `${path}.${name}`),
  )
  return Array.isArray(value) ? [path, ...inside] : inside
}

/** Another legitimate value of the same kind. */
function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (value instanceof Uint8Array) return seeded('another', value.length)
  if (Array.isArray(value)) return value.slice(1)
  return value === 'recoverable' ? 'erasable' : `${'a'.repeat(51)}a`
}

function changed<T>(body: T, path: string): T {
  const [name, ...rest] = path.split('.')
  const inside = (body as Record<string, unknown>)[name!]
  const value = rest.length === 0 ? other(inside) : changed(inside, rest.join('.'))
  if (Array.isArray(body)) return body.map((one, i) => (String(i) === name ? value : one)) as T
  return { ...body, [name!]: value }
}

/** Opens a delivery with one change, down to every version's key, as the next one after what was accepted. */
async function open(edits: Edits): Promise<string> {
  const { head, catalog } = accepted
  const before = {
    head: { ...head, version: head.version - 1, hash: seeded('head before') },
    catalog: { body: { ...catalog.body, number: catalog.body.number - 1 }, hash: seeded('before') },
    manifests: {},
  }
  return outcome(async () => {
    const delivery = await makeDelivery(world, edits)
    const opened = await openDelivery(delivery, lastContext(world, accepted, before))
    await useAll(opened.keyrings[0]!, opened.accepted)
  })
}

/** Opens the welcome, the cell, the name and every version, and picks the one to encrypt with. */
async function useAll(view: KeyringView, next: Accepted): Promise<void> {
  const { member, bundle, manifest, welcome } = view
  const { alice, tenant } = world
  const recipient = {
    tenant: tenant.trust.tenant,
    fingerprint: alice.fingerprint,
    packageHash: channelOf(tenant, alice).packageHash,
    key: alice.recipient,
  }
  const { key } = await openWelcome(welcome, member, recipient)
  const kek = await unwrapCell(key, member.cell)
  await unwrapName(kek, bundle)
  for (const entry of bundle.entries.all()) await unwrapVersion(kek, entry, manifest)
  versionToEncrypt(view, next, NOW)
}

/** What each kind of document has, and how it is changed. */
const KINDS = {
  head: (path: string): Edits => ({ head: (body) => changed(body, path) }),
  catalog: (path: string): Edits => ({ catalog: (body) => changed(body, path) }),
  release: (path: string): Edits => ({
    release: (body, n) => (n === 0 ? changed(body, path) : body),
  }),
  manifest: (path: string): Edits => ({
    manifest: (body, n) => (n === 0 ? changed(body, path) : body),
  }),
  bundle: (path: string): Edits => ({
    bundle: (body, n) => (n === 0 ? changed(body, path) : body),
  }),
  member: (path: string): Edits => ({
    member: (body, n) => (n === 0 ? changed(body, path) : body),
  }),
}
type Kind = keyof typeof KINDS

/** One body of each kind, as it is made. */
async function bodies(): Promise<Record<Kind, unknown>> {
  const seen: Partial<Record<Kind, unknown>> = {}
  const look =
    <K extends Kind>(kind: K) =>
    <T>(body: T): T => {
      seen[kind] ??= body
      return body
    }
  await makeDelivery(world, {
    head: look('head'),
    catalog: look('catalog'),
    release: look('release'),
    manifest: look('manifest'),
    bundle: look('bundle'),
    member: look('member'),
  })
  return seen as Record<Kind, unknown>
}

/** What a client says to each field changed. `ok` is what its signer is free to state. */
const EXPECTED: Record<Kind, Record<string, string>> = {
  // Free: the lists that no path to the deriver needs, times within the lifetime, the log, a higher number.
  head: {
    'catalog.hash': 'ERR_HASH',
    'catalog.number': 'ERR_HASH',
    crls: 'ERR_HASH',
    'crls.0.hash': 'ERR_HASH',
    'crls.0.issuer': 'ERR_SCHEMA',
    'crls.0.number': 'ERR_HASH',
    'crls.1.hash': 'ok',
    'crls.1.issuer': 'ok',
    'crls.1.number': 'ok',
    expiresAt: 'ok',
    incarnation: 'ERR_INCARNATION',
    issuedAt: 'ok',
    'log.root': 'ok',
    'log.size': 'ok',
    'releases.index': 'ok',
    'releases.root': 'ERR_HASH',
    'releases.size': 'ERR_HASH',
    signer: 'ERR_SIGNER',
    tenant: 'ERR_TENANT',
    'trust.hash': 'ERR_FORK',
    'trust.number': 'ERR_HASH',
    version: 'ok',
  },
  // Free: times within the lifetime.
  catalog: {
    expiresAt: 'ok',
    issuedAt: 'ok',
    'manifests.index': 'ok',
    'manifests.root': 'ERR_HASH',
    'manifests.size': 'ERR_HASH',
    number: 'ERR_HASH',
    tenant: 'ERR_TENANT',
  },
  // Free: what only tightens, where pages are found, and where the entry of the log stands, which whoever has the log looks up.
  release: {
    bundle: 'ERR_HASH',
    compromised: 'ok',
    deactivated: 'ok',
    'deactivated.0.incarnation': 'ok',
    'deactivated.0.version': 'ERR_KEY_VERSION',
    'encrypt.incarnation': 'ERR_KEY_VERSION',
    'encrypt.version': 'ERR_KEY_VERSION',
    generation: 'ERR_KEYRING',
    incarnation: 'ERR_INCARNATION',
    keyring: 'ERR_KEYRING',
    log: 'ok',
    manifest: 'ERR_HASH',
    'members.index': 'ok',
    'members.root': 'ERR_HASH',
    'members.size': 'ok',
    skipped: 'ok',
    tenant: 'ERR_TENANT',
  },
  // Free: the policy, which the authority states, and nonces, which only the deriver uses.
  manifest: {
    generationMaxAge: 'ok',
    keyring: 'ERR_KEYRING',
    kind: 'ok',
    number: 'ok',
    offline: 'ok',
    rules: 'ok',
    'rules.0': 'ok',
    'rules.1': 'ERR_SCHEMA',
    tenant: 'ERR_TENANT',
    versions: 'ERR_KEY_VERSION',
    'versions.0.algorithm': 'ERR_UNSUPPORTED',
    'versions.0.decryptUntil': 'ok',
    'versions.0.encryptFrom': 'ok',
    'versions.0.encryptUntil': 'ok',
    'versions.0.incarnation': 'ERR_SCHEMA',
    'versions.0.keyId': 'ERR_COMMITMENT',
    'versions.0.nonce': 'ok',
    'versions.0.version': 'ERR_SCHEMA',
    'versions.1.algorithm': 'ERR_UNSUPPORTED',
    'versions.1.decryptUntil': 'ok',
    'versions.1.encryptFrom': 'ok',
    'versions.1.encryptUntil': 'ok',
    'versions.1.incarnation': 'ERR_KEY_VERSION',
    'versions.1.keyId': 'ERR_COMMITMENT',
    'versions.1.nonce': 'ok',
    'versions.1.version': 'ERR_KEY_VERSION',
  },
  // Free: a version that is not bundled is not used.
  bundle: {
    entries: 'ok',
    'entries.0.incarnation': 'ERR_SCHEMA',
    'entries.0.version': 'ERR_SCHEMA',
    'entries.0.wrapped': 'ERR_OPEN',
    'entries.1.incarnation': 'ERR_KEY_VERSION',
    'entries.1.version': 'ERR_KEY_VERSION',
    'entries.1.wrapped': 'ERR_OPEN',
    generation: 'ERR_KEYRING',
    incarnation: 'ERR_KEYRING',
    keyring: 'ERR_KEYRING',
    name: 'ERR_OPEN',
  },
  member: {
    cell: 'ERR_OPEN',
    channelId: 'ERR_HASH',
    packageHash: 'ERR_NOT_RECIPIENT',
    welcomeHash: 'ERR_HASH',
  },
}

describe.each(Object.keys(KINDS) as Kind[])('a %s', (kind) => {
  it('is bound in every field, or the field is free for a reason', async () => {
    const body = (await bodies())[kind]
    const found: Record<string, string> = {}
    for (const path of pathsOf(body)) found[path] = await open(KINDS[kind](path))
    expect(found).toEqual(EXPECTED[kind])
  })
})
