/** A deriver's certificate and key in files that the customer's CA renews: read again when they change. */
import { statSync } from 'node:fs'
import { type Bytes, equal } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type Signer } from '../shared/http-signature.ts'
import { parseCertificate } from '../shared/x509.ts'
import { importPrivateKey } from './key-files.ts'

/** Reads the pair; `read` returns the DER of a PEM or DER file. Throws `ERR_IO` for a key of another certificate. */
export function signerFromFiles(
  certificate: string,
  key: string,
  read: (path: string, label: string) => Bytes[],
): () => Promise<Signer> {
  let tag = ''
  let signer: Signer | null = null
  const stamp = (path: string): string => {
    try {
      const { mtimeMs, size, ino } = statSync(path)
      return `${mtimeMs} ${size} ${ino}`
    } catch (cause) {
      throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
    }
  }
  return async () => {
    const now = `${stamp(certificate)} ${stamp(key)}`
    if (signer !== null && now === tag) return signer
    const certificates = read(certificate, 'CERTIFICATE')
    const [pkcs8] = read(key, 'PRIVATE KEY')
    const next = { key: await importPrivateKey(pkcs8 ?? new Uint8Array()), certificates }
    const leaf = parseCertificate(certificates[0] ?? new Uint8Array())
    if (!equal(leaf.spki, next.key.spki))
      throw new KeyferryError('ERR_IO', 'the private key is not that of the certificate')
    tag = now
    signer = next
    return next
  }
}
