/**
 * AWS KMS as a root: GenerateMac with HMAC_SHA_256, signed by Signature Version 4, as their documentation describes it. Tested against a server of our
 * own that checks the documented form; never run against the service.
 */
import { createHash, createHmac } from 'node:crypto'
import { KeyferryError } from '../shared/errors.ts'
import { callKms, readMac, said, type Judge, type KmsRequest, type Patience } from './kms-call.ts'
import { type Place } from './place.ts'
import { type MacKey } from './root.ts'

/** What signs a request. */
export interface AwsCredentials {
  id: string
  secret: string
  /** Of temporary credentials. */
  session: string | undefined
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest()

/** The headers of a POST or GET to `/` of a service, with its Signature Version 4. `time` is `YYYYMMDDTHHMMSSZ`. */
export function signV4(
  request: { method: string; headers: Record<string, string>; body: string },
  scope: { region: string; service: string; time: string },
  { id, secret, session }: AwsCredentials,
): Record<string, string> {
  const { region, service, time } = scope
  const headers: Record<string, string> = { ...request.headers, 'x-amz-date': time }
  if (session !== undefined) headers['x-amz-security-token'] = session
  const names = Object.keys(headers).toSorted()
  const signed = names.join(';')
  const lines = names.map((name) => `${name}:${headers[name]!.trim()}\n`).join('')
  const canonical = [request.method, '/', '', lines, signed, sha256(request.body)].join('\n')
  const date = time.slice(0, 8)
  const within = `${date}/${region}/${service}/aws4_request`
  const key = [date, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`)
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, within, sha256(canonical)].join('\n'))
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${id}/${within}, SignedHeaders=${signed}, Signature=${signature.toString('hex')}`
  return headers
}

/** Read for each call: whoever renews temporary credentials puts them there. */
function credentials(): AwsCredentials {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = process.env
  if (!id || !secret)
    throw new KeyferryError('ERR_ROOT_DENIED', 'no credentials for AWS KMS', {
      hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if temporary)',
    })
  return { id, secret, session: process.env['AWS_SESSION_TOKEN'] || undefined }
}

const RETRY =
  /Throttling|TooManyRequests|Internal|DependencyTimeout|KeyUnavailable|ServiceUnavailable/
const DENIED =
  /AccessDenied|Expired|UnrecognizedClient|InvalidSignature|IncompleteSignature|MissingAuthentication|InvalidClientTokenId|OptInRequired|NotAuthorized/

const judge: Judge = (status, answer) => {
  const type = said(answer).split(':')[0]!
  if (RETRY.test(type) || status === 429 || status >= 500) return 'retry'
  return DENIED.test(type) || status === 401 || status === 403 ? 'ERR_ROOT_DENIED' : 'ERR_ROOT_KEY'
}

/** An HMAC_256 key of AWS KMS. `patience` is for tests. */
export function awsKmsKey(place: Extract<Place, { kind: 'aws-kms' }>, patience?: Patience): MacKey {
  const { key, region, endpoint } = place
  const request = (input: Uint8Array): KmsRequest => {
    const message = Buffer.from(input).toString('base64')
    const body = JSON.stringify({ KeyId: key, MacAlgorithm: 'HMAC_SHA_256', Message: message })
    const headers = {
      'content-type': 'application/x-amz-json-1.1',
      host: new URL(endpoint).host,
      'x-amz-target': 'TrentService.GenerateMac',
    }
    const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
    const signed = signV4(
      { method: 'POST', headers, body },
      { region, service: 'kms', time },
      credentials(),
    )
    return { url: `${endpoint}/`, headers: signed, body }
  }
  return {
    async mac(input) {
      const answer = await callKms('AWS KMS', () => request(input), judge, patience)
      return readMac('AWS KMS', answer['Mac'])
    },
  }
}
