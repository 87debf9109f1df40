/** Key packages and key requests of a client: made and signed (docs/PROTOCOL.md, "Key package and request"). With HPKE it is loaded when it is needed. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { digest } from '../shared/digest.ts'
import { documentDigest, signWithCertificate, type Envelope } from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { createHpke, type RecipientKey } from '../shared/hpke.ts'
import { MAX_PACKAGE_LIFETIME, MAX_REQUEST_LIFETIME } from '../shared/limits.ts'
import type { Suite, TrustDocument } from '../shared/trust.ts'
import { type Identity } from './identity.ts'
import { keyringOf, needsPackage, packagesOf } from './state.ts'
import { type StoredKeyring, type StoredPackage, type StoredState } from './store.ts'

/** Tabs ask each for themselves: an answer to any of them is one. */
const MAX_NONCES = 8

/**
 * A key pair in the first of the tenant's suites that this platform can do: X-Wing wherever there is X25519. Throws `ERR_SUITE`, and `ERR_IO` when a
 * part of the client does not load, which is no reason to take a weaker suite.
 */
export async function generateRecipient(
  suites: readonly Suite[],
  extractable: boolean,
): Promise<RecipientKey> {
  let cause: unknown
  for (const suite of suites) {
    try {
      return await createHpke(suite).generate(extractable)
    } catch (error) {
      if (isKeyferryError(error)) throw error
      // Not on this platform: X25519 is young in WebCrypto.
      cause = error
    }
  }
  throw new KeyferryError('ERR_SUITE', `this platform has none of ${suites.join(', ')}`, { cause })
}

/**
 * Makes and signs a key package that lives for 30 days. `version` is above all before it, and must be stored before the package leaves.
 * `now` in seconds. Throws `ERR_SUITE`.
 */
export async function createPackage(
  { key: signingKey, certificates }: Identity,
  trust: TrustDocument,
  version: number,
  now: number,
  extractable: boolean,
): Promise<StoredPackage> {
  const key = await generateRecipient(trust.body.suites, extractable)
  const fingerprint = await digest(certificates[0]!)
  const expiresAt = now + MAX_PACKAGE_LIFETIME
  const body = {
    expiresAt,
    issuedAt: now,
    key: key.publicKey,
    signer: fingerprint,
    suite: key.suite,
    tenant: trust.tenant,
    version,
  }
  const envelope = await signWithCertificate('package', body, signingKey, certificates)
  const hash = await documentDigest(envelope)
  return { hash, envelope, version, issuedAt: now, expiresAt, fingerprint, key, channel: null }
}

/** The state with a new package, if one is due: in use at once if nothing hangs on the one before, else on its way. Throws `ERR_SUITE`. */
export async function withPackage(
  state: StoredState,
  identity: Identity,
  now: number,
  extractable: boolean,
): Promise<StoredState> {
  if (!(await needsPackage(state, identity, now))) return state
  const version = state.packageVersion + 1
  const made = await createPackage(identity, state.accepted!.trust, version, now, extractable)
  const { current, next } = packagesOf(state)
  const hasViews = Object.values(state.keyrings).some(({ view }) => view !== null)
  const packages = [...state.packages.filter((one) => one !== next), made]
  // With nothing under the old package, nothing has to move.
  const inUse = current !== undefined && hasViews ? state.package : made.hash
  return { ...state, packageVersion: version, package: inUse, packages }
}

/** Signs a request for keyrings (at most 64 ids) that names a package. `nonce` is 16 random bytes, `now` seconds. */
export async function signRequest(
  { key, certificates }: Identity,
  tenant: string,
  keyrings: readonly Bytes[],
  packageHash: Bytes,
  nonce: Bytes,
  now: number,
): Promise<Envelope> {
  const body = {
    expiresAt: now + MAX_REQUEST_LIFETIME,
    issuedAt: now,
    keyrings,
    nonce,
    package: packageHash,
    signer: await digest(certificates[0]!),
    tenant,
  }
  return signWithCertificate('request', body, key, certificates)
}

/** The state of a client that asks for keyrings in a request with this nonce. */
export function askKeyrings(
  state: StoredState,
  keyrings: readonly Bytes[],
  nonce: Bytes,
): StoredState {
  const own = keyrings.map((id): [string, StoredKeyring] => {
    const known = keyringOf(state, id)
    // Who was denied and asks again wants another answer than the old one.
    const before = known.refusal?.kind === 'denied' ? [] : known.nonces
    const nonces = [...before, nonce].slice(-MAX_NONCES)
    return [hex(id), { ...known, nonces, refusal: null }]
  })
  return { ...state, keyrings: { ...state.keyrings, ...Object.fromEntries(own) } }
}
