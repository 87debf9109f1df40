/** Questions to a client's stored state, and the one way it grows. Pure: nothing is fetched or stored here. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { digestOnce } from '../shared/digest.ts'
import { readBundle } from '../shared/bundle.ts'
import { readManifest } from '../shared/manifest.ts'
import { type Accepted, type KeyringView } from '../shared/open.ts'
import { decodeRelease } from '../shared/release.ts'
import type { DeliveryCall } from '../shared/client-calls.ts'
import type { TrustDocument } from '../shared/trust.ts'
import { type Identity } from './identity.ts'
import {
  emptyState,
  type StoredKeyring,
  type StoredPackage,
  type StoredState,
  type StoredView,
} from './store.ts'

/**
 * How a keyring stands. `ready`: under the accepted head, which is fresh; `offline`: the same, while no relay can be reached; `unadmitted`: the
 * same, while every relay says that it does not admit this client, as after a revocation, which is a hint and proves nothing; `stale`: the signed
 * state is too old to encrypt under; `unproven`: a relay leaves the keyring out and no deriver says why; `denied` and `removed`: the deriver
 * says so; `revoked`: the CA's own list names this client's certificate; `pending`: everything before a first key.
 */
export type KeyringState =
  | 'pending'
  | 'ready'
  | 'stale'
  | 'offline'
  | 'unadmitted'
  | 'denied'
  | 'removed'
  | 'revoked'
  | 'unproven'

/** What relays are good for at present. */
export type Reach = 'ready' | 'offline' | 'unadmitted'

/** Whether the keyring can be used: until the signed state is too old, no relay is needed. */
export function isUsable(state: KeyringState): state is Reach {
  return state === 'ready' || state === 'offline' || state === 'unadmitted'
}

/** The last second at which something may be encrypted under what was accepted. */
export function encryptLimit({ head, catalog, trust }: Accepted): number {
  return Math.min(head.expiresAt, catalog.body.expiresAt, trust.body.expiresAt) + trust.body.skew
}

/** Whether the accepted head shows the client in the keyring. */
export function isCurrent(state: StoredState, keyring: Bytes): boolean {
  const head = state.accepted?.head
  const under = state.keyrings[hex(keyring)]?.view?.head
  return (
    head !== undefined && under?.incarnation === head.incarnation && under.version === head.version
  )
}

/** Whether a refusal still counts. `now` in seconds. */
function isRefusalFresh(refusal: { expiresAt: number }, now: number, skew: number): boolean {
  // PROTOCOL [refusal-3]
  return now <= refusal.expiresAt + skew
}

/** See {@link KeyringState}. `now` in seconds. */
export function keyringState(
  state: StoredState,
  keyring: Bytes,
  now: number,
  reach: Reach,
): KeyringState {
  const { accepted } = state
  const known = state.keyrings[hex(keyring)]
  if (accepted === null || known === undefined) return 'pending'
  if (isCurrent(state, keyring)) {
    return now > encryptLimit(accepted) ? 'stale' : reach
  }
  const { refusal, view } = known
  if (refusal !== null && isRefusalFresh(refusal, now, accepted.trust.body.skew))
    return refusal.kind
  return view === null ? 'pending' : 'unproven'
}

/** The keyring's view again, out of what was verified when it was stored. */
export function readView(id: Bytes, stored: StoredView): KeyringView {
  const { release, manifest, bundle, member, slot } = stored
  return {
    id,
    release: decodeRelease(release),
    manifest: readManifest(manifest),
    bundle: readBundle(bundle),
    member,
    slot,
    welcome: new Uint8Array(),
    objects: { release, manifest, bundle },
  }
}

/** A view as it is stored. */
export function writeView(
  { objects, release, member, slot }: KeyringView,
  { incarnation, version, expiresAt }: Accepted['head'],
): StoredView {
  return {
    ...objects,
    manifestHash: release.manifest,
    bundleHash: release.bundle,
    members: release.members,
    member,
    slot,
    head: { incarnation, version, expiresAt },
  }
}

/** What names the keys of a view: the same cell, bundle and manifest give the same keys. */
export function keysId({ member, bundleHash, manifestHash }: StoredView): string {
  return hex(bundleHash) + hex(manifestHash) + hex(member.cell) + hex(member.welcomeHash)
}

/** The package in use, and the one on its way to replace it. */
export function packagesOf(state: StoredState): {
  current: StoredPackage | undefined
  next: StoredPackage | undefined
} {
  const current = state.packages.find((one) => equal(one.hash, state.package))
  const above = current?.version ?? 0
  return { current, next: state.packages.find((one) => one.version > above) }
}

/** The package that a request names: the one on its way, or else the one in use. */
export function newestPackage(state: StoredState): StoredPackage | undefined {
  const { current, next } = packagesOf(state)
  return next ?? current
}

/**
 * Whether a package is to be replaced: half of its life is over, the certificate is a new one, or its suite is no longer allowed.
 */
export async function isPackageDue(
  { issuedAt, expiresAt, fingerprint, key }: StoredPackage,
  identity: Identity,
  trust: TrustDocument,
  now: number,
): Promise<boolean> {
  return (
    now > (issuedAt + expiresAt) / 2 ||
    !equal(fingerprint, await digestOnce(identity.certificates[0]!)) ||
    !trust.body.suites.includes(key.suite)
  )
}

/** Whether a client with an accepted head needs a new package. `now` in seconds. */
export async function needsPackage(
  state: StoredState,
  identity: Identity,
  now: number,
): Promise<boolean> {
  const newest = newestPackage(state)
  return newest === undefined || isPackageDue(newest, identity, state.accepted!.trust, now)
}

/** The packages that are still needed: in use, on their way, or holding the keys of a view. */
export function keptPackages(state: StoredState): StoredPackage[] {
  const { current, next } = packagesOf(state)
  const views = Object.values(state.keyrings).flatMap(({ view }) => view ?? [])
  return state.packages.filter(
    (one) =>
      one === current ||
      one === next ||
      views.some(({ member }) => equal(member.packageHash, one.hash)),
  )
}

/**
 * The state without the packages that have ended, and without everything that was delivered under them, where an erasable keyring is held: a version that was
 * destroyed meanwhile must not outlive them here. The same state where there are none.
 */
export function withoutEnded(state: StoredState, now: number): StoredState {
  const views = Object.values(state.keyrings).flatMap(({ view }) => view ?? [])
  // PROTOCOL [package-5]
  const isEnded = ({ expiresAt }: StoredPackage): boolean => now >= expiresAt
  if (!state.packages.some(isEnded)) return state
  if (!views.some(({ manifest }) => readManifest(manifest).kind === 'erasable')) return state
  const ended = state.packages.filter(isEnded)
  const isUnder = (view: StoredView | null): boolean =>
    view !== null && ended.some(({ hash }) => equal(hash, view.member.packageHash))
  const keyrings = Object.fromEntries(
    Object.entries(state.keyrings).map(([id, one]) => [
      id,
      isUnder(one.view) ? { ...one, view: null } : one,
    ]),
  )
  const packages = state.packages.filter((one) => !ended.includes(one))
  return { ...state, keyrings, packages }
}

/** An object that is kept, by its hash. */
export function findObject(state: StoredState, hash: Bytes): Bytes | undefined {
  for (const { view } of Object.values(state.keyrings)) {
    if (view !== null && equal(view.manifestHash, hash)) return view.manifest
    if (view !== null && equal(view.bundleHash, hash)) return view.bundle
  }
  return undefined
}

/** What is known of a keyring, nothing at first. */
export function keyringOf(state: StoredState, id: Bytes): StoredKeyring {
  return state.keyrings[hex(id)] ?? { id, view: null, nonces: [], refusal: null }
}

/** The keyrings with what a verified delivery shows. A grant ends the requests before it: no answer to them counts any more. */
export function showKeyrings(
  before: StoredState,
  views: readonly (readonly [Bytes, StoredView])[],
): Record<string, StoredKeyring> {
  const keyrings = { ...before.keyrings }
  for (const [id, view] of views) {
    const known = keyringOf(before, id)
    const nonces = isCurrent(before, id) ? known.nonces : []
    keyrings[hex(id)] = { ...known, nonces, view, refusal: null }
  }
  return keyrings
}

/** What to ask a relay for. `absent` are keyrings, by id in hex, that it did not have the last time. */
export function deliveryRequest(
  state: StoredState,
  keyrings: readonly Bytes[],
  packageHash: Bytes | undefined = new Uint8Array(),
  absent: ReadonlySet<string>,
): DeliveryCall {
  const { accepted } = state
  const viewOf = (id: Bytes): StoredView | null => keyringOf(state, id).view
  const held = keyrings.filter((id) => !absent.has(hex(id)) && viewOf(id) !== null)
  const objects = held.flatMap((id) => {
    const { bundleHash, manifestHash, member, members } = viewOf(id)!
    // The leaf of another package would be refused in place of the one that is asked for.
    const isOwn = equal(member.packageHash, packageHash)
    return [bundleHash, manifestHash, ...(isOwn && members ? [members.index] : [])]
  })
  const welcomes = state.packages.flatMap(({ hash, channel }) =>
    equal(hash, packageHash) && channel !== null ? [channel.welcomeHash] : [],
  )
  // To the same head with the same objects a relay answers with nothing; but proofs of an earlier head are needed again.
  const isBehind = held.some((id) => !isCurrent(state, id))
  return {
    call: 'delivery',
    have: {
      catalog: accepted?.catalog.body.number ?? 0,
      head: accepted === null || isBehind ? new Uint8Array() : accepted.head.hash,
      objects: [...objects, ...welcomes],
      trust: accepted?.trust.body.number ?? 0,
    },
    keyrings: [...keyrings],
    package: packageHash,
    slots: keyrings.map((id) => viewOf(id)?.slot ?? 0),
  }
}

/** A state as it was read, also where an earlier version wrote it: that kept no trust documents, evidence that does not stand alone, no lists and no revocation. */
export function completeState(stored: StoredState | null): StoredState {
  if (stored === null) return emptyState()
  const known =
    'trusts' in stored ? stored : { ...(stored as StoredState), trusts: [], evidence: [] }
  const listed = 'lists' in known ? known : { ...(known as StoredState), lists: [] }
  return 'revoked' in listed ? listed : { ...(listed as StoredState), revoked: null }
}
