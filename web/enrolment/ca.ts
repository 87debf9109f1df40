/** The CA behind the handler: an interface, and one over an issuing key for where there is no deriver at hand (Workers). */
import { equal, hex, type Bytes } from '../../shared/bytes.ts'
import { parseCsr } from '../../shared/csr.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { issueLeaf, type Issuer } from '../../shared/issue.ts'
import { encodePem } from '../../shared/pem.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'

/** A key that has or had a certificate for a URI. */
export interface KnownKey {
  /** SHA-256 of the SubjectPublicKeyInfo. */
  keyId: Bytes
  /** Seconds, of the last certificate. */
  notAfter: number
  isRevoked?: boolean
}

/** What the handler asks of the customer's CA. It holds the client-issuing CA only. */
export interface CertificateAuthority {
  /**
   * Certifies the key of a CSR (DER) for the URI. Returns PEM, end-entity first. `isFirst`: only if the URI has no other key. Throws
   * `ERR_DENIED` for a revoked key, `ERR_CONFLICT` when another key was first.
   */
  issue(request: { csr: Bytes; uri: string; lifetime: number; isFirst: boolean }): Promise<string>
  /** Every key that the URI ever had, expired and revoked ones too. */
  keysOf(uri: string): Promise<KnownKey[]>
}

/** A certificate as it is recorded. */
export interface IssuedCertificate {
  uri: string
  keyId: Bytes
  /** Hexadecimal: what a CRL lists. */
  serial: string
  /** Seconds. */
  notAfter: number
}

/** The record of what was issued. */
export interface IssuedStore {
  keysOf(uri: string): Promise<KnownKey[]>
  /** Records in one atomic step, unless the key was revoked, or `isFirst` and the URI has another key. Returns the reason, or `null` when done. */
  add(certificate: IssuedCertificate, isFirst: boolean): Promise<'revoked' | 'taken' | null>
}

/** What {@link createCa} needs. */
export interface CaOptions {
  /** Certificate (DER) and key of the client-issuing CA. */
  issuer: Issuer
  /** DER, from the issuer's to the last one below the anchor; empty where the issuer is the anchor. */
  chain?: readonly Bytes[]
  issued: IssuedStore
  /** Dotted OIDs; clientAuth by default. */
  eku?: readonly string[]
  /** Seconds since 1970. */
  now?: () => number
}

const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

/** A CA over an issuing key. Revocation lists are made elsewhere, from the same record. */
export function createCa(options: CaOptions): CertificateAuthority {
  const { issuer, issued, chain = [], eku = ['1.3.6.1.5.5.7.3.2'] } = options
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  return {
    keysOf: (uri) => issued.keysOf(uri),
    async issue({ csr, uri, lifetime, isFirst }) {
      const { spki, commonName } = await parseCsr(csr)
      const time = now()
      const notAfter = time + lifetime
      const leaf = { issuer, spki, commonName, uri, eku, notBefore: time - 300, notAfter, random }
      const certificate = await issueLeaf(leaf)
      const serial = hex(parseCertificate(certificate).serial)
      // Recorded before it leaves: what nobody knows of, nobody can revoke.
      const refusal = await issued.add({ uri, keyId: await keyId(spki), serial, notAfter }, isFirst)
      if (refusal !== null) throw errorOf(refusal === 'taken' ? 'ERR_CONFLICT' : 'ERR_DENIED')
      return [certificate, ...chain].map((der) => encodePem('CERTIFICATE', der)).join('')
    },
  }
}

/** A record in memory: for tests and trials, since a CA that forgets lets anybody be the first. */
export function createMemoryIssued(): IssuedStore & { revoke(uri: string, keyId: Bytes): void } {
  const all: (IssuedCertificate & { isRevoked: boolean })[] = []
  return {
    keysOf: (uri) => Promise.resolve(all.filter((one) => one.uri === uri)),
    add(certificate, isFirst) {
      const isOwn = (one: IssuedCertificate): boolean => equal(one.keyId, certificate.keyId)
      if (all.some((one) => one.isRevoked && isOwn(one))) return Promise.resolve('revoked')
      const isTaken = all.some((one) => one.uri === certificate.uri && !isOwn(one))
      if (isFirst && isTaken) return Promise.resolve('taken')
      all.push({ ...certificate, isRevoked: false })
      return Promise.resolve(null)
    },
    revoke(uri, id) {
      for (const one of all) if (one.uri === uri && equal(one.keyId, id)) one.isRevoked = true
    },
  }
}
