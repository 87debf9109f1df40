/**
 * Becoming a client: a key that never leaves this device, and a certificate for it from the customer's own CA. Neither goes through the relay
 * (docs/PROTOCOL.md, "Roles").
 */
import { equal } from '../shared/bytes.ts'
import { createCsr } from '../shared/csr.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { encodePem } from '../shared/pem.ts'
import {
  generateSigningKey,
  type SignatureAlgorithm,
  type SigningKey,
} from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type Enroll } from './enroll-at.ts'
import { loadIdentity, readCertificates, type Identity } from './identity.ts'
import { emptyState, type Store, type StoredState } from './store.ts'

export { enrollAt, type Enroll, type EnrollOptions } from './enroll-at.ts'
export { identityFromPem, loadIdentity, type Identity } from './identity.ts'
export { type Store, type StoredState } from './store.ts'
export { type Bytes } from '../shared/bytes.ts'
export { type SignatureAlgorithm, type SigningKey } from '../shared/signature.ts'
export { type ErrorCode, type KeyferryError } from '../shared/errors.ts'

/** Options of {@link createIdentity}. */
export interface CreateIdentityOptions {
  /** Common name that the certification request proposes: 1 to 64 characters. */
  name: string
  /** Where key and certificates are kept. */
  store: Store
  /**
   * Brings the certification request to the customer's CA and returns the certificates: PEM, end-entity first. {@link enrollAt}, or a way of
   * one's own.
   */
  enroll: Enroll
  /** Ed25519 by default, or P-256 (`ES256`) where the platform lacks it. */
  algorithm?: SignatureAlgorithm
}

async function generate(
  algorithm: SignatureAlgorithm | undefined,
  extractable: boolean,
): Promise<SigningKey> {
  if (algorithm !== undefined) return generateSigningKey(algorithm, extractable)
  try {
    return await generateSigningKey('Ed25519', extractable)
  } catch {
    return generateSigningKey('ES256', extractable)
  }
}

/**
 * Makes a signing key, has it certified and stores both, in place of an identity that is there. The key is not extractable, unless the store
 * keeps keys as text. Throws what `enroll` throws, `ERR_CERT_PROFILE` if the certificate is for another key, decoding codes,
 * `ERR_STATE`, `ERR_IO`; nothing is stored then.
 *
 * @example
 * const identity = await createIdentity({ name: 'Kim’s laptop', store, enroll: askOurServer })
 */
export async function createIdentity(options: CreateIdentityOptions): Promise<Identity> {
  const { name, store, enroll, algorithm } = options
  const key = await generate(algorithm, store.exportsKeys)
  // The key that is replaced speaks for the new one.
  const identity = await certify(key, name, enroll, await loadIdentity({ store }))
  await keep(store, identity)
  return identity
}

/**
 * The identity of a store, made and certified where there is none: of several tabs that start together one does it. The key is stored before it is
 * certified; where the answer is lost, as with a page that is closed, the same key is certified at the next start. Throws as {@link createIdentity}.
 *
 * @example
 * const identity = await openIdentity({ name: 'web', store, enroll: enrollAt('/enroll') })
 */
export function openIdentity(options: CreateIdentityOptions): Promise<Identity> {
  const { name, store, enroll, algorithm } = options
  return store.lock(async () => {
    const { pending, ...state } = (await store.read()) ?? emptyState()
    if (state.identity !== null) return state.identity
    const write = (change: Partial<StoredState>): Promise<void> =>
      store.write({ ...state, ...change, revision: ++state.revision })
    const key = pending ?? (await generate(algorithm, store.exportsKeys))
    if (pending === undefined) await write({ pending: key })
    try {
      const identity = await certify(key, name, enroll, null)
      await write({ identity })
      return identity
    } catch (error) {
      // A revoked key never gets a certificate: the next one may.
      if (isKeyferryError(error, 'ERR_DENIED')) await write({})
      throw error
    }
  })
}

async function certify(
  key: SigningKey,
  name: string,
  enroll: Enroll,
  current: Identity | null,
): Promise<Identity> {
  const csr = encodePem('CERTIFICATE REQUEST', await createCsr(key, name))
  const certificates = readCertificates(await enroll(csr, current))
  if (!equal(parseCertificate(certificates[0]!).spki, key.spki))
    throw new KeyferryError('ERR_CERT_PROFILE', 'the certificate is for another key')
  return { key, certificates }
}

async function keep(store: Store, identity: Identity): Promise<void> {
  await store.lock(async () => {
    const state = (await store.read()) ?? emptyState()
    const { pending: _, ...rest } = state
    await store.write({ ...rest, identity, revision: state.revision + 1 })
  })
}

/**
 * What `connect` takes as `renew`: a new certificate for the key that is there, so that the device stays the member that it is. The certificate
 * may have expired.
 *
 * @example
 * const keyferry = await connect({ config, store, renew: renewBy(enrollAt('/enroll')) })
 */
export function renewBy(enroll: Enroll): (identity: Identity) => Promise<Identity> {
  return (identity) => certify(identity.key, 'renewal', enroll, identity)
}

/**
 * Renews the certificate that a store holds, at once, for the same key; a client with `renew` does so by itself. Throws `ERR_STATE` without an identity, and as
 * {@link createIdentity}.
 */
export async function renewIdentity(options: { store: Store; enroll: Enroll }): Promise<Identity> {
  const { store, enroll } = options
  const identity = await loadIdentity({ store })
  if (identity === null) throw new KeyferryError('ERR_STATE', 'no identity: createIdentity first')
  const renewed = await renewBy(enroll)(identity)
  await keep(store, renewed)
  return renewed
}
