/**
 * Becoming a client: a key that never leaves this device, and a certificate for it from the customer's own CA. Neither goes through the relay
 * (docs/PROTOCOL.md, "Roles").
 */
import { equal } from '../shared/bytes.ts'
import { createCsr } from '../shared/csr.ts'
import { KeyferryError } from '../shared/errors.ts'
import { encodePem } from '../shared/pem.ts'
import {
  generateSigningKey,
  type SignatureAlgorithm,
  type SigningKey,
} from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { readCertificates, type Identity } from './identity.ts'
import { emptyState, type Store } from './store.ts'

export { identityFromPem, loadIdentity, type Identity } from './identity.ts'

/** Options of {@link createIdentity}. */
export interface CreateIdentityOptions {
  /** Common name that the certification request proposes: 1 to 64 characters. */
  name: string
  /** Where key and certificates are kept. */
  store: Store
  /** Brings the certification request to the customer's CA, on the customer's own way, and returns the certificates: PEM, end-entity first. */
  enroll: (csrPem: string) => Promise<string>
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
  const csr = encodePem('CERTIFICATE REQUEST', await createCsr(key, name))
  const certificates = readCertificates(await enroll(csr))
  if (!equal(parseCertificate(certificates[0]!).spki, key.spki))
    throw new KeyferryError('ERR_CERT_PROFILE', 'the certificate is for another key')
  const identity = { key, certificates }
  await store.lock(async () => {
    const state = (await store.read()) ?? emptyState()
    await store.write({ ...state, identity, revision: state.revision + 1 })
  })
  return identity
}
