/** What counts as a no: only the deriver's signed and bound word (docs/PROTOCOL.md, "Refusal"). Loaded with the first one. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { type Envelope } from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { digest } from '../shared/digest.ts'
import { compareVersions } from '../shared/manifest.ts'
import { type Opened } from '../shared/open.ts'
import { type VerifyContext } from '../shared/verify-context.ts'
import { verifyRefusal, type RefusalBody } from '../shared/refusal.ts'
import type { AcceptContext } from './accept.ts'
import { isCurrent, keyringOf, newestPackage } from './state.ts'
import { type StoredKeyring, type StoredPackage, type StoredState } from './store.ts'

/** Kinds of refusals. */
export type RefusalKind = 'denied' | 'pending' | 'removed'

/** A refusal that was verified for this client and is bound to what this client did or accepted; `package` asks for another key package. */
export interface BoundRefusal {
  kind: RefusalKind | 'package'
  keyring: Bytes
  reason: string
  /** Seconds. */
  issuedAt: number
  expiresAt: number
  /** Hash of the release or key package that it is about; empty for others. */
  release: Bytes
}

/** Where a head showed the client a member, and the hash of that release. */
interface Shown {
  head: { incarnation: number; version: number }
  release: Bytes
}

/** What a refusal can be bound to. `crls` are those that the accepted head names. */
export interface RefusalContext extends VerifyContext {
  /** Fingerprint of the client's certificate. */
  recipient: Bytes
  /** The accepted head. */
  head: { incarnation: number; version: number }
  /** Nonces of the newest requests for a keyring; `undefined` for one that is not asked for. */
  noncesOf: (keyring: Bytes) => readonly Bytes[] | undefined
  /** Hash of the newest key package; empty for none. */
  packageHash: Bytes
  /** Whether a member leaf under the accepted head shows the client in the keyring. */
  isMember: (keyring: Bytes) => boolean
  /** Head and release hash that last showed the client a member; `undefined` if none did. */
  lastShown: (keyring: Bytes) => Promise<Shown | undefined>
}

async function isBound(
  { kind, keyring, nonce, head, release }: RefusalBody,
  context: RefusalContext,
): Promise<boolean> {
  // PROTOCOL [refusal-4]
  if (kind === 'package') return equal(release, context.packageHash)
  if (kind !== 'removed')
    return context.noncesOf(keyring)?.some((one) => equal(one, nonce)) === true
  const last = await context.lastShown(keyring)
  return (
    head.incarnation === context.head.incarnation &&
    head.version <= context.head.version &&
    !context.isMember(keyring) &&
    // It must be newer than the last head and other than the last release that showed the client a member: a removal before that is history.
    (last === undefined || (!equal(release, last.release) && compareVersions(head, last.head) > 0))
  )
}

/**
 * Verifies a refusal. Throws `ERR_NOT_RECIPIENT`, `ERR_SCHEMA`, `ERR_STALE`, `ERR_FUTURE`, `ERR_KEYRING`, `ERR_UNPROVEN` and envelope codes: what
 * throws proves nothing.
 */
export async function openRefusal(
  envelope: Envelope,
  context: RefusalContext,
): Promise<BoundRefusal> {
  // PROTOCOL [refusal-1] [refusal-3]
  const { body } = await verifyRefusal(envelope, context.recipient, context)
  // PROTOCOL [refusal-1]
  if (context.noncesOf(body.keyring) === undefined) throw new KeyferryError('ERR_KEYRING')
  // PROTOCOL [refusal-2]
  if (!(await isBound(body, context)))
    throw new KeyferryError('ERR_UNPROVEN', 'a refusal of something else')
  const { keyring, reason, issuedAt, expiresAt, release } = body
  return { kind: body.kind as BoundRefusal['kind'], keyring, reason, issuedAt, expiresAt, release }
}

async function openRefusals(
  envelopes: readonly Envelope[],
  state: StoredState,
  { accepted: { trust, head }, crls }: Opened,
  {
    keyrings,
    fingerprint,
    now,
    warn,
  }: Pick<AcceptContext, 'keyrings' | 'fingerprint' | 'now' | 'warn'>,
): Promise<BoundRefusal[]> {
  const refusals: BoundRefusal[] = []
  const isAsked = (id: Bytes): boolean => keyrings.some((asked) => equal(asked, id))
  const lastShown = async (id: Bytes): Promise<Shown | undefined> => {
    const view = keyringOf(state, id).view
    return view === null ? undefined : { head: view.head, release: await digest(view.release) }
  }
  for (const envelope of envelopes) {
    try {
      const refusal = await openRefusal(envelope, {
        trust,
        now,
        crls,
        recipient: fingerprint,
        head,
        noncesOf: (id) => (isAsked(id) ? keyringOf(state, id).nonces : undefined),
        isMember: (id) => isCurrent(state, id),
        lastShown,
        packageHash: newestPackage(state)?.hash ?? new Uint8Array(),
      })
      // What the head shows outweighs an answer to an earlier request.
      if (refusal.kind === 'package' || !isCurrent(state, refusal.keyring)) refusals.push(refusal)
    } catch (error) {
      // It is worth nothing, but the rest of the delivery does not hang on it.
      if (!isKeyferryError(error)) throw error
      warn(error)
    }
  }
  return refusals
}

/** The packages, where those that the deriver wants replaced are due at once. */
function replacePackages(
  packages: readonly StoredPackage[],
  refusals: readonly BoundRefusal[],
): StoredPackage[] {
  const isDemanded = ({ hash }: StoredPackage): boolean =>
    refusals.some(({ kind, release }) => kind === 'package' && equal(release, hash))
  return packages.map((one) => (isDemanded(one) ? { ...one, issuedAt: 0 } : one))
}

/** The keyrings with verified refusals; an older one does not replace a newer one. */
export function refuseKeyrings(
  state: StoredState,
  refusals: readonly BoundRefusal[],
): Record<string, StoredKeyring> {
  const keyrings = { ...state.keyrings }
  for (const { keyring, kind, reason, issuedAt, expiresAt } of refusals) {
    if (kind === 'package') continue
    const known = keyrings[hex(keyring)] ?? keyringOf(state, keyring)
    if (known.refusal !== null && known.refusal.issuedAt > issuedAt) continue
    keyrings[hex(keyring)] = { ...known, refusal: { kind, reason, issuedAt, expiresAt } }
  }
  return keyrings
}

/** The state with what a deriver's refusals say, of those that count. `context` as the delivery was accepted with. */
export async function withRefusals(
  envelopes: readonly Envelope[],
  state: StoredState,
  opened: Opened,
  context: AcceptContext,
): Promise<StoredState> {
  const refusals = await openRefusals(envelopes, state, opened, context)
  const packages = replacePackages(state.packages, refusals)
  return { ...state, packages, keyrings: refuseKeyrings(state, refusals) }
}
