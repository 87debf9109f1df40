/**
 * Google Cloud KMS as a root: macSign of a cryptoKeyVersion with HMAC_SHA256, as their documentation describes it. Tested against a server of our own that
 * checks the documented form; never run against the service.
 */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { readSmallFile } from './given-secret.ts'
import { callKms, readMac, type Judge, type KmsRequest, type Patience } from './kms-call.ts'
import { type Place } from './place.ts'
import { type MacKey } from './root.ts'

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), reflected. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1))
  }
  return ~crc >>> 0
}

/** Read for each call: access tokens live for an hour, and something else on the machine renews them. */
function token(file: string | null): string {
  const found =
    file === null
      ? process.env['GOOGLE_ACCESS_TOKEN']
      : readSmallFile(file, 'gcloud auth print-access-token writes what belongs there')
  if (!found)
    throw new KeyferryError('ERR_ROOT_DENIED', 'no access token for Google Cloud KMS', {
      hint: 'give the place a token-file, or set GOOGLE_ACCESS_TOKEN',
    })
  return found
}

const judge: Judge = (status) => {
  if (status === 429 || status >= 500) return 'retry'
  return status === 401 || status === 403 ? 'ERR_ROOT_DENIED' : 'ERR_ROOT_KEY'
}

/** A cryptoKeyVersion with the purpose MAC. `patience` is for tests. */
export function gcpKmsKey(place: Extract<Place, { kind: 'gcp-kms' }>, patience?: Patience): MacKey {
  const { key, endpoint, tokenFile } = place
  const request = (input: Bytes): KmsRequest => ({
    url: `${endpoint}/v1/${key}:macSign`,
    headers: {
      authorization: `Bearer ${token(tokenFile)}`,
      'content-type': 'application/json; charset=utf-8',
    },
    // An int64 is a text in their JSON.
    body: JSON.stringify({
      data: Buffer.from(input).toString('base64'),
      dataCrc32c: String(crc32c(input)),
    }),
  })
  return {
    async mac(input) {
      const answer = await callKms('Google Cloud KMS', () => request(input), judge, patience)
      const mac = readMac('Google Cloud KMS', answer['mac'])
      const isWhole =
        answer['verifiedDataCrc32c'] === true && answer['macCrc32c'] === String(crc32c(mac))
      if (!isWhole || answer['name'] !== key)
        throw new KeyferryError(
          'ERR_ROOT',
          'Google Cloud KMS answers for something else: checksums or key name differ',
        )
      return mac
    },
  }
}
