/** End-entity certificates of a test world's CAs that those would never issue: by a key that "signs" everything, with addresses in them. */
import { type Bytes, concat, fromHex } from '../../shared/bytes.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { type Issuer } from '../../shared/issue.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import {
  aki,
  basic,
  CLIENT_AUTH,
  eku,
  type Extensions,
  keyUsage,
  makeCertificate,
  san,
  uriName,
} from './odd-certificates.ts'

/** The neutral element as a public key. {@link EVERYTHING} verifies under it, whatever was signed, where a platform lets it. */
export const WEAK_SPKI = concat(
  fromHex('302a300506032b6570032100'),
  fromHex(`01${'00'.repeat(31)}`),
)
/** R is the base point and S is 1: S·B = R + k·A for every k where A is the neutral element. */
export const EVERYTHING = fromHex(`58${'66'.repeat(31)}01${'00'.repeat(31)}`)

/** A certificate for any key, with further extensions. */
export async function certify(
  ca: Issuer,
  spki: Bytes,
  uri: string,
  now: number,
  extensions: Extensions = {},
): Promise<Bytes> {
  const { subject, subjectKeyId } = parseCertificate(ca.certificate)
  const id = (await keyId(spki)).slice(0, 20)
  const own = {
    basic: basic(false),
    keyUsage: keyUsage(0),
    eku: eku(CLIENT_AUTH),
    san: san([uriName(uri)], true),
    aki: aki(subjectKeyId!.slice()),
  }
  const times = { notBefore: now - 3_600, notAfter: now + 7 * 86_400 }
  const issuer = { name: subject.slice(), key: ca.key, id: subjectKeyId!.slice() }
  const device = { name: fromHex('3000'), key: { ...ca.key, spki }, id }
  return makeCertificate(device, issuer, { ...own, ...extensions }, times)
}

/** A new key with such a certificate. */
export async function oddSigner(
  ca: Issuer,
  uri: string,
  now: number,
  extensions: Extensions,
): Promise<Signer> {
  const key = await generateSigningKey('Ed25519', true)
  return { key, certificates: [await certify(ca, key.spki, uri, now, extensions)] }
}
