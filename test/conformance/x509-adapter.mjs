// Translates the cases of public X.509 suites (schema of x509-limbo) into calls of our path validation; no check is made here but those of names and
// key usages that a case asks for. Runs in plain Node 24.
import { decodePem } from '../../shared/pem.ts'
import { checkCrl as checkOneCrl, parseCrl } from '../../shared/crl.ts'
import { findPath } from '../../shared/path-search.ts'
import { parseAnchor, parseCertificate } from '../../shared/x509.ts'

export const name = 'keyferry'

const EKUS = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  OCSPSigning: '1.3.6.1.5.5.7.3.9',
}
const KEY_USAGES = ['digitalSignature', 'contentCommitment', 'keyEncipherment', 'dataEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign', 'encipherOnly', 'decipherOnly'] // prettier-ignore

// Other people's files hold text around and inside their PEM that ours does not take.
const ders = (pem, label) =>
  [...pem.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)]
    .filter(([, found]) => found === label)
    .map(([, , body]) => new Uint8Array(Buffer.from(body, 'base64')))

const certificate = (pem) => ders(pem, 'CERTIFICATE')[0] ?? decodePem(pem, 'CERTIFICATE')[0]
const seconds = (time) => Math.floor(time.getTime() / 1000)

export async function verify(input) {
  try {
    const path = await findPath({
      leaf: certificate(input.leafPem),
      candidates: input.intermediatesPem.flatMap((pem) => ders(pem, 'CERTIFICATE')),
      anchors: input.rootsPem.flatMap((pem) => ders(pem, 'CERTIFICATE')),
      now: seconds(input.time),
      eku: input.ekus.map((eku) => EKUS[eku] ?? eku),
      crls:
        input.crlsPem.length === 0
          ? 'unsafe-without-revocation'
          : input.crlsPem.flatMap((pem) => ders(pem, 'X509 CRL')),
      ...(input.maxChainDepth === undefined ? {} : { maxIntermediates: input.maxChainDepth }),
    })
    const [leaf] = path.certificates
    const { uris, keyUsage } = leaf
    for (const { kind, value } of input.peerNames) {
      if (kind !== 'URI' || !uris.includes(value))
        return { ok: false, reason: `no ${kind} ${value}` }
    }
    for (const usage of input.keyUsage) {
      if (!(keyUsage & (1 << KEY_USAGES.indexOf(usage))))
        return { ok: false, reason: `no ${usage}` }
    }
    return { ok: true }
  } catch (error) {
    return { ok: false, reason: `${error.code ?? ''} ${error.message}` }
  }
}

export async function checkCrl({ leafPem, issuersPem, crlPem, time, relax }) {
  const rules = {
    ...(relax.weakRsa ? { leastRsaBits: 1024 } : {}),
    ...(relax.maxCrlAgeSeconds === undefined ? {} : { mostAge: relax.maxCrlAgeSeconds }),
  }
  let reason = 'no issuer'
  try {
    const leaf = parseCertificate(certificate(leafPem))
    const crl = parseCrl(ders(crlPem, 'X509 CRL')[0], rules)
    for (const pem of issuersPem) {
      try {
        const checked = await checkOneCrl(crl, parseAnchor(certificate(pem)), seconds(time), rules)
        if (!checked.covers(leaf)) throw new Error('not covered')
        return { status: checked.isRevoked(leaf.serial) ? 'revoked' : 'good' }
      } catch (error) {
        reason = `${error.code ?? ''} ${error.message}`
      }
    }
  } catch (error) {
    reason = `${error.code ?? ''} ${error.message} ${error.cause?.message ?? ''}`
  }
  return { status: 'unknown', reason }
}
