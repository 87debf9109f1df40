/**
 * Certification requests (PKCS#10, RFC 2986) for Ed25519 and P-256 keys, and the reader a CA needs for them. A request
 * proves possession of the key and proposes a name; everything else about the certificate is the CA's decision.
 */
import { type Bytes, fromUtf8 } from './bytes.ts'
import {
  derExplicit,
  derInteger,
  derOid,
  derSequence,
  derSet,
  derText,
  PRINTABLE_STRING,
  readDer,
  SEQUENCE,
  UTF8_STRING,
} from './der.ts'
import { KeyferryError } from './errors.ts'
import {
  importVerifyKey,
  readSignature,
  readSigned,
  signDer,
  type SigningKey,
  verifySignature,
} from './signature.ts'
import { readName } from './names.ts'

const MAX_CSR = 8192

const OID_COMMON_NAME = '2.5.4.3'
const OID_ORGANIZATION = '2.5.4.10'

/** RFC 5280 appendix A: ub-common-name and ub-organization-name. */
function isAttributeText(text: string): boolean {
  return /^[^\p{Cc}]{1,64}$/u.test(text)
}

/** DER Name of an organization, if any, and a common name. Throws `RangeError` unless each has 1 to 64 characters. */
export function makeName(commonName: string, organization?: string): Bytes {
  const attribute = (oid: string, text: string): Bytes => {
    if (!isAttributeText(text)) throw new RangeError('a name has 1 to 64 characters')
    return derSet(derSequence(derOid(oid), derText(text)))
  }
  const first = organization === undefined ? [] : [attribute(OID_ORGANIZATION, organization)]
  return derSequence(...first, attribute(OID_COMMON_NAME, commonName))
}

/** A DER certification request for the key, which may be non-extractable, signed by it. */
export function createCsr(key: SigningKey, subjectCommonName: string): Promise<Bytes> {
  const name = makeName(subjectCommonName)
  return signDer(key, derSequence(derInteger(0), name, key.spki, derExplicit(0)))
}

/**
 * The key and the one common name of a DER certification request whose signature by that key was verified; its
 * attributes are ignored. Throws `ERR_TOO_LARGE` above 8,192 bytes, `ERR_MALFORMED`, `ERR_CERT_PROFILE` for another
 * kind of key or name, `ERR_WEAK_KEY`, `ERR_SIGNATURE`.
 */
export async function parseCsr(der: Bytes): Promise<{ spki: Bytes; commonName: string }> {
  if (der.length > MAX_CSR) throw new KeyferryError('ERR_TOO_LARGE')
  const parts = readSigned(der.slice())
  const names: string[] = []
  const spki = readDer(parts.tbs, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      if (reader.count() !== 0) throw new KeyferryError('ERR_MALFORMED', 'not version 1')
      readName(reader, (oid, tag, value) => {
        if (oid !== OID_COMMON_NAME) return
        const isText = tag === UTF8_STRING || tag === PRINTABLE_STRING
        names.push(isText ? fromUtf8(value) : '')
      })
      const { raw } = reader.element(SEQUENCE)
      reader.read(0xa0)
      return raw
    }),
  )
  const [commonName = '', ...others] = names
  if (others.length > 0 || !isAttributeText(commonName)) {
    throw new KeyferryError('ERR_CERT_PROFILE', 'not exactly one common name')
  }
  const key = await importVerifyKey(spki)
  const { alg, signature } = readSignature(parts)
  if (alg !== key.alg || !(await verifySignature(key, signature, parts.tbs))) {
    throw new KeyferryError('ERR_SIGNATURE')
  }
  return { spki, commonName }
}
