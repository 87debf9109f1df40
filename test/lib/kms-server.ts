/**
 * A small server on loopback with the MAC interfaces of three vendors, as their documentation describes them: it answers only to requests of that form, with
 * HMAC-SHA-256 under its key.
 */
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

/** What the server does in place of answering. */
export type Mood = (response: ServerResponse) => void

export interface KmsServer {
  url: string
  key: Buffer
  /** Problems of requests, in words; empty if all were as documented. */
  problems: string[]
  /** How many requests came. */
  count: number
  /** Moods of the next requests, one each. */
  moods: Mood[]
  close(): void
}

export const AWS = {
  id: 'AKIDEXAMPLE',
  secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  session: 'session-token',
}
export const AWS_KEY = 'arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd'
export const GCP_KEY = 'projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3'
export const GCP_TOKEN = 'ya29.token'
export const VAULT_TOKEN = 'hvs.token'

/** By a table, and so another way than the product does it. RFC 3720 B.4: 32 bytes of zeros are 0x8a9136aa. */
export function castagnoli(bytes: Uint8Array): number {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n
    for (let k = 0; k < 8; k++) c = (c & 1) === 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    return c >>> 0
  })
  return ~bytes.reduce((crc, byte) => (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!, ~0) >>> 0
}

const mac = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(Buffer.from(text, 'base64')).digest('base64')

/** The signature that the headers of a request ought to have. */
function sigV4(request: IncomingMessage, body: string): string | null {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/kms\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? '',
    )
  if (match === null) return 'no signature'
  const [, id, date, region, names, signature] = match
  const time = String(request.headers['x-amz-date'])
  if (id !== AWS.id || !/^\d{8}T\d{6}Z$/.test(time) || time.slice(0, 8) !== date) return 'scope'
  const signed = names!.split(';')
  for (const needed of ['host', 'x-amz-date', 'x-amz-target', 'x-amz-security-token'])
    if (!signed.includes(needed)) return `${needed} is not signed`
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex')
  const canonical = [
    'POST',
    '/',
    '',
    ...signed.map((name) => `${name}:${String(request.headers[name]).trim()}`),
    '',
    names,
    hash(body),
  ].join('\n')
  const text = `AWS4-HMAC-SHA256\n${time}\n${date}/${region}/kms/aws4_request\n${hash(canonical)}`
  let key: string | Buffer = `AWS4${AWS.secret}`
  for (const part of [date, region!, 'kms', 'aws4_request'])
    key = createHmac('sha256', key).update(part).digest()
  return createHmac('sha256', key).update(text).digest('hex') === signature ? null : 'signature'
}

type Answer = [status: number, body: object] | string

function answerAws(request: IncomingMessage, body: string, key: Buffer): Answer {
  const wrong = sigV4(request, body)
  if (wrong !== null) return wrong
  if (request.headers['x-amz-target'] !== 'TrentService.GenerateMac') return 'target'
  if (request.headers['content-type'] !== 'application/x-amz-json-1.1') return 'content type'
  if (request.headers['x-amz-security-token'] !== AWS.session) return 'session'
  const { KeyId, MacAlgorithm, Message, ...rest } = JSON.parse(body) as Record<string, string>
  if (Object.keys(rest).length > 0 || MacAlgorithm !== 'HMAC_SHA_256') return 'fields'
  if (KeyId !== AWS_KEY)
    return [400, { __type: 'NotFoundException', message: `Key '${KeyId}' does not exist` }]
  return [200, { KeyId, Mac: mac(key, Message!), MacAlgorithm }]
}

function answerGcp(request: IncomingMessage, body: string, key: Buffer): Answer {
  if (request.headers.authorization !== `Bearer ${GCP_TOKEN}`)
    return [
      401,
      { error: { code: 401, message: 'invalid credentials', status: 'UNAUTHENTICATED' } },
    ]
  const { data, dataCrc32c, ...rest } = JSON.parse(body) as Record<string, string>
  const isWhole = dataCrc32c === String(castagnoli(Buffer.from(data!, 'base64')))
  if (Object.keys(rest).length > 0 || !isWhole) return 'fields'
  const name = request.url!.slice('/v1/'.length, -':macSign'.length)
  if (name !== GCP_KEY) return [404, { error: { message: 'not found', status: 'NOT_FOUND' } }]
  const made = mac(key, data!)
  const macCrc32c = String(castagnoli(Buffer.from(made, 'base64')))
  return [200, { name, mac: made, macCrc32c, verifiedDataCrc32c: true, protectionLevel: 'HSM' }]
}

function answerVault(request: IncomingMessage, body: string, key: Buffer): Answer {
  if (request.headers['x-vault-token'] !== VAULT_TOKEN)
    return [403, { errors: ['permission denied'] }]
  if (request.headers['x-vault-request'] !== 'true') return 'x-vault-request'
  const { input, key_version, ...rest } = JSON.parse(body) as Record<string, unknown>
  if (Object.keys(rest).length > 0 || typeof key_version !== 'number') return 'fields'
  if (key_version > 2) return [400, { errors: ['cannot generate HMAC: version is too new'] }]
  return [200, { data: { hmac: `vault:v${key_version}:${mac(key, String(input))}` } }]
}

function route(request: IncomingMessage, body: string, key: Buffer): Answer {
  const url = request.url ?? ''
  if (request.method !== 'POST') return 'method'
  if (url === '/') return answerAws(request, body, key)
  if (url.startsWith('/v1/projects/') && url.endsWith(':macSign'))
    return answerGcp(request, body, key)
  if (url === '/v1/transit/hmac/keyferry/sha2-256') return answerVault(request, body, key)
  return `no ${url}`
}

export async function startKmsServer(key: Buffer): Promise<KmsServer> {
  const state: Omit<KmsServer, 'url' | 'close'> = { key, problems: [], count: 0, moods: [] }
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      state.count++
      const mood = state.moods.shift()
      if (mood !== undefined) return mood(response)
      const answer = route(request, Buffer.concat(chunks).toString(), state.key)
      if (typeof answer === 'string') state.problems.push(answer)
      const [status, body] = typeof answer === 'string' ? [400, { message: answer }] : answer
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      return undefined
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(state, {
    url,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  })
}
