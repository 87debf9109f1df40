/** A client's identity: the private key of its certificate, and the path of the certificate (docs/PROTOCOL.md, "Roles"). */
import { base64url, equal, utf8, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodePem } from '../shared/pem.ts'
import { subtle } from '../shared/platform.ts'
import {
  importVerifyKey,
  signBytes,
  verifySignature,
  type SigningKey,
} from '../shared/signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type Store } from './store.ts'

/** Who a client is. `certificates` are DER, end-entity first, the anchor left out. */
export interface Identity {
  key: SigningKey
  certificates: Bytes[]
}

function spkiOf(certificates: readonly Bytes[]): Bytes {
  const [leaf] = certificates
  if (leaf === undefined) throw new KeyferryError('ERR_PATH_INVALID', 'no certificate')
  return parseCertificate(leaf).spki
}

/**
 * Checks that the certificate is for the key. Throws `ERR_CERT_PROFILE` if not, and decoding codes. Whether the tenant admits the certificate,
 * only relay and deriver say.
 */
export async function checkIdentity({ key, certificates }: Identity): Promise<void> {
  const spki = spkiOf(certificates)
  const challenge = utf8(
    `keyferry identity ${base64url(crypto.getRandomValues(new Uint8Array(16)))}`,
  )
  const isOwn =
    equal(spki, key.spki) &&
    (await verifySignature(await importVerifyKey(spki), await signBytes(key, challenge), challenge))
  if (!isOwn) throw new KeyferryError('ERR_CERT_PROFILE', 'the certificate is for another key')
}

/** Path of certificates in PEM. Throws `ERR_MALFORMED`, `ERR_CERT_PROFILE` and other decoding codes. */
export function readCertificates(pem: string): Bytes[] {
  const certificates = decodePem(pem, 'CERTIFICATE')
  spkiOf(certificates)
  return certificates
}

/**
 * The identity of a service whose key and certificates are files: PKCS#8 ("PRIVATE KEY") and certificates, end-entity first. The key is
 * imported non-extractable. Throws `ERR_MALFORMED`, `ERR_CERT_PROFILE` if key and certificate do not belong together.
 */
export async function identityFromPem(keyPem: string, certificatesPem: string): Promise<Identity> {
  const certificates = readCertificates(certificatesPem)
  const [pkcs8, ...others] = decodePem(keyPem, 'PRIVATE KEY')
  if (pkcs8 === undefined || others.length > 0)
    throw new KeyferryError('ERR_MALFORMED', 'not exactly one private key')
  const { alg, spki } = await importVerifyKey(spkiOf(certificates))
  const algorithm = alg === 'Ed25519' ? alg : { name: 'ECDSA', namedCurve: 'P-256' }
  let key: CryptoKey
  try {
    key = await subtle().importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
  } catch (cause) {
    throw new KeyferryError('ERR_CERT_PROFILE', 'the certificate is for another key', { cause })
  }
  const identity = { key: { alg, key, spki }, certificates }
  await checkIdentity(identity)
  return identity
}

/** The identity that `createIdentity` left in a store, or `null`. Throws `ERR_STATE`, `ERR_IO`. */
export async function loadIdentity(options: { store: Store }): Promise<Identity | null> {
  return (await options.store.read())?.identity ?? null
}
