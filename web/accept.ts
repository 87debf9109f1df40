/**
 * From a delivery to the next state (docs/PROTOCOL.md, "Opening a delivery"): everything up to [open-20] is verified here, of the version to encrypt with, and nothing of it may be
 * used before the caller has stored it. A step that fails leaves the state as it was.
 */
import { equal, type Bytes } from '../shared/bytes.ts'
import type { AppConfig } from '../shared/config.ts'
import { type Delivery } from '../shared/delivery.ts'
import { encodeEnvelope } from '../shared/envelope.ts'
import { type KeyferryError } from '../shared/errors.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { openDelivery, type KeyringView } from '../shared/open.ts'
import { lazily } from '../shared/lazy.ts'
import { requireChannel } from '../shared/unwrap.ts'
import { type Keys } from './keys.ts'
import { findObject, keyringOf, showKeyrings, writeView } from './state.ts'
import { type StoredPackage, type StoredState, type StoredView } from './store.ts'

/** Who accepts, and what was asked for. */
export interface AcceptContext {
  config: AppConfig
  /** Fingerprint of the client's certificate. */
  fingerprint: Bytes
  keyrings: readonly Bytes[]
  /** The package that was named; `undefined` for none. */
  used: StoredPackage | undefined
  /** Seconds. */
  now: number
  /** Checks signatures of CAs, and remembers them. */
  verify: CaVerifier
  /** Opens the keys of a view, or gives those that were opened before. */
  keysOf: (stored: StoredView, view: KeyringView, channel: CryptoKey) => Promise<Keys>
  /** Told of refusals that prove nothing. */
  warn: (error: KeyferryError) => void
}

/** A channel with its key. */
export type OpenChannel = NonNullable<StoredPackage['channel']> & { key: CryptoKey }

/** The channel that a member leaf names: the one known, or out of the welcome. Throws `ERR_HASH`, `ERR_OPEN`, `ERR_SUITE`, `ERR_IO`. */
export async function openChannel(
  tenant: string,
  { hash, fingerprint, key, channel: known }: StoredPackage,
  { member, welcome }: Pick<KeyringView, 'member' | 'welcome'>,
): Promise<OpenChannel> {
  const isSame = known !== null && equal(known.welcomeHash, member.welcomeHash)
  if (isSame && known.key !== null) {
    requireChannel(known.id, member.channelId)
    return { ...known, key: known.key }
  }
  const sealed = isSame ? known.welcome : welcome
  const recipient = { tenant, fingerprint, packageHash: hash, key }
  const { openWelcome } = await lazily(() => import('../shared/welcome.ts'))
  return { ...(await openWelcome(sealed, member, recipient)), welcome: sealed }
}

/** Verifies a delivery down to the cells. Returns the next state, to be stored first. Throws the code of the first step that fails. */
export async function acceptDelivery(
  delivery: Delivery,
  state: StoredState,
  context: AcceptContext,
): Promise<StoredState> {
  const { config, used, keyrings, now } = context
  const opened = await openDelivery(delivery, {
    tenant: config.tenant,
    floor: config.floor,
    packageHash: used?.hash ?? new Uint8Array(),
    keyrings,
    now,
    last: state.accepted,
    trust: state.accepted?.trust ?? null,
    kept: (hash) => findObject(state, hash),
    held: (id) => keyringOf(state, id).view,
    verify: context.verify,
  })
  const { accepted, keyrings: views } = opened
  let own = used
  const shown: [Bytes, StoredView][] = []
  for (const view of views) {
    const channel = await openChannel(config.tenant, own!, view)
    own = { ...own!, channel }
    const stored = writeView(view, accepted.head)
    shown.push([view.id, stored])
    const keys = await context.keysOf(stored, view, channel.key)
    const entry = view.bundle.entries.find(view.release.encrypt)
    // Whoever can sign a head could else take clients away from keys that they have, to one that they will refuse.
    if (entry !== undefined) await keys.check(entry)
  }
  const next = {
    ...state,
    keyrings: showKeyrings(state, shown),
    accepted,
    head: encodeEnvelope(delivery.head),
    trusts: [...state.trusts, ...delivery.trust],
    package: views.length > 0 ? own!.hash : state.package,
    packages: state.packages.map((one) =>
      own !== undefined && equal(one.hash, own.hash) ? own : one,
    ),
  }
  if (delivery.refusals.length === 0) return next
  const { withRefusals } = await lazily(() => import('./refusal.ts'))
  return withRefusals(delivery.refusals, next, opened, context)
}
