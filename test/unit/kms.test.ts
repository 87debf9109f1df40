// Roots behind HTTP: what the vendors document, against a server of our own; the services themselves are never asked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { awsKmsKey, signV4 } from '../../deriver/aws-kms.ts'
import { crc32c, gcpKmsKey } from '../../deriver/gcp-kms.ts'
import { parsePlace } from '../../deriver/place.ts'
import { type MacKey } from '../../deriver/root.ts'
import { vaultKey } from '../../deriver/vault.ts'
import { fromHex, hex, utf8 } from '../../shared/bytes.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import vectors from '../../docs/vectors/derivation.json' with { type: 'json' }
import { codeOf } from '../lib/deriver.ts'
import {
  AWS,
  AWS_KEY,
  castagnoli,
  GCP_KEY,
  GCP_TOKEN,
  startKmsServer,
  VAULT_TOKEN,
  type KmsServer,
  type Mood,
} from '../lib/kms-server.ts'

let server: KmsServer
let directory: string
const patience = { timeout: 300, attempts: 3, pause: 1 }
const NAMES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'GOOGLE_ACCESS_TOKEN',
  'VAULT_TOKEN',
]
const before = NAMES.map((name) => process.env[name])

beforeEach(async () => {
  server = await startKmsServer(Buffer.alloc(32, 7))
  directory = mkdtempSync(join(tmpdir(), 'keyferry-kms-'))
  const values = [AWS.id, AWS.secret, AWS.session, GCP_TOKEN, VAULT_TOKEN]
  for (const [i, name] of NAMES.entries()) process.env[name] = values[i]
})
afterEach(() => {
  server.close()
  rmSync(directory, { recursive: true })
  for (const [i, name] of NAMES.entries()) {
    if (before[i] === undefined) delete process.env[name]
    else process.env[name] = before[i]
  }
})

function open(text: string): MacKey {
  const place = parsePlace(text)
  if (place.kind === 'aws-kms') return awsKmsKey(place, patience)
  if (place.kind === 'gcp-kms') return gcpKmsKey(place, patience)
  if (place.kind === 'vault') return vaultKey(place, patience)
  throw new TypeError(text)
}

const vendors = {
  aws: () => `aws-kms:${AWS_KEY}?region=eu-central-1&endpoint=${server.url}`,
  gcp: () => `gcp-kms:${GCP_KEY}?endpoint=${server.url}`,
  vault: () => `vault:keyferry?address=${server.url}`,
}
const each = Object.keys(vendors) as (keyof typeof vendors)[]

const answer =
  (status: number, body: string): Mood =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)

describe.each(each)('%s', (vendor) => {
  const key = (): MacKey => open(vendors[vendor]())

  it('computes the vectors of every label', async () => {
    for (const { input, output } of vectors.cases) {
      server.key = Buffer.from(fromHex(input.key))
      const fields = input.fields.map((field) => lengthPrefixed(fromHex(field)))
      const info = Buffer.concat([utf8(`keyferry/v1/${input.label}\0`), ...fields, Buffer.of(1)])
      expect(hex(await key().mac(new Uint8Array(info)))).toBe(output)
    }
    expect(server.problems).toEqual([])
  })

  it('a request that is throttled or meets a fault is made again', async () => {
    server.moods = [answer(503, '{}'), answer(429, '{"__type":"ThrottlingException"}')]
    await key().mac(utf8('x'))
    expect([server.count, server.problems]).toEqual([3, []])
  })

  it('a fault that stays is ERR_ROOT, after three attempts', async () => {
    server.moods = Array.from({ length: 9 }, () => answer(500, 'no JSON'))
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT')
    expect(server.count).toBe(3)
  })

  it('silence is ERR_ROOT_TIMEOUT', async () => {
    server.moods = Array.from({ length: 9 }, () => () => {})
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT_TIMEOUT')
  })

  it('an answer without end is ERR_ROOT', async () => {
    server.moods = Array.from({ length: 9 }, () =>
      answer(200, JSON.stringify({ a: 'x'.repeat(70_000) })),
    )
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT')
  })

  it.each([
    ['nothing', '{}'],
    ['a shorter MAC', '{"Mac":"AAAA","mac":"AAAA","data":{"hmac":"vault:v1:AAAA"}}'],
    ['no JSON', '<html>'],
    ['null', 'null'],
    ['another type', '{"Mac":1,"mac":1,"data":{"hmac":1}}'],
  ])('an answer with %s is ERR_ROOT', async (_, body) => {
    server.moods = [answer(200, body)]
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT')
    expect(server.count).toBe(1)
  })

  it('a denial is ERR_ROOT_DENIED at once, with a hint', async () => {
    const says = vendor === 'aws' ? '{"__type":"AccessDeniedException","message":"no"}' : '{}'
    server.moods = [answer(vendor === 'aws' ? 400 : 403, says)]
    const error = await key()
      .mac(utf8('x'))
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      code: 'ERR_ROOT_DENIED',
      hint: expect.stringContaining('credentials'),
    })
    expect(server.count).toBe(1)
  })

  it('no credentials is ERR_ROOT_DENIED, and nothing is sent', async () => {
    for (const name of NAMES) delete process.env[name]
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT_DENIED')
    expect(server.count).toBe(0)
  })

  it('nobody there is ERR_ROOT, and a redirect is not followed', async () => {
    server.moods = Array.from(
      { length: 3 },
      (): Mood => (response) =>
        response.writeHead(307, { location: `${server.url}/elsewhere` }).end(),
    )
    expect(await codeOf(key().mac(utf8('x')))).toBe('ERR_ROOT')
    expect(server.problems).toEqual([])
    const gone = key()
    server.close()
    expect(await codeOf(gone.mac(utf8('x')))).toBe('ERR_ROOT')
  })
})

it.each([
  () => vendors.aws().replace('mrk-1234abcd', 'other'),
  () => vendors.gcp().replace('cryptoKeyVersions/3', 'cryptoKeyVersions/4'),
  () => `${vendors.vault()}&key-version=3`,
])('a key that is not there is ERR_ROOT_KEY', async (place) => {
  expect(await codeOf(open(place()).mac(utf8('x')))).toBe('ERR_ROOT_KEY')
  expect(server.count).toBe(1)
})

it('Vault with another version of the key than the one asked for is ERR_ROOT', async () => {
  const mac = Buffer.alloc(32).toString('base64')
  server.moods = [answer(200, JSON.stringify({ data: { hmac: `vault:v2:${mac}` } }))]
  expect(await codeOf(open(vendors.vault()).mac(utf8('x')))).toBe('ERR_ROOT')
})

it.each([
  ['another key', { name: GCP_KEY.replace('/3', '/4') }],
  ['another checksum', { macCrc32c: '1' }],
  ['data that it did not verify', { verifiedDataCrc32c: false }],
])('Google with %s is ERR_ROOT', async (_, change) => {
  const mac = Buffer.alloc(32)
  const good = {
    name: GCP_KEY,
    mac: mac.toString('base64'),
    macCrc32c: String(castagnoli(mac)),
    verifiedDataCrc32c: true,
  }
  server.moods = [
    answer(200, JSON.stringify({ ...good, ...change })),
    answer(200, JSON.stringify(good)),
  ]
  expect(await codeOf(open(vendors.gcp()).mac(utf8('x')))).toBe('ERR_ROOT')
  expect(hex(await open(vendors.gcp()).mac(utf8('x')))).toBe('00'.repeat(32))
})

it('a token that fits into no header is ERR_ROOT_DENIED, and stands in no error', async () => {
  const file = join(directory, 'token')
  writeFileSync(file, `hvs.secret${String.fromCodePoint(10)}hvs.another\n`)
  const key = open(`vault:master?address=${server.url}&token-file=${file}`)
  const error = await key.mac(utf8('x')).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'ERR_ROOT_DENIED' })
  expect(inspect(error, { depth: null })).not.toContain('hvs.')
})

it('tokens are read from files anew for each call', async () => {
  const file = join(directory, 'token')
  for (const [place, token] of [
    [vendors.gcp(), GCP_TOKEN],
    [vendors.vault(), VAULT_TOKEN],
  ] as const) {
    const key = open(`${place}&token-file=${file}`)
    writeFileSync(file, 'stale\n')
    expect(await codeOf(key.mac(utf8('x')))).toBe('ERR_ROOT_DENIED')
    writeFileSync(file, `${token}\n`)
    expect((await key.mac(utf8('x'))).length).toBe(32)
  }
})

it('Signature Version 4 is that of the published test suite', () => {
  const headers = { host: 'example.amazonaws.com' }
  const scope = { region: 'us-east-1', service: 'service', time: '20150830T123600Z' }
  const sign = (method: string): string =>
    signV4({ method, headers, body: '' }, scope, { ...AWS, session: undefined })[
      'authorization'
    ]!.slice(-64)
  expect(sign('GET')).toBe('5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31')
  expect(sign('POST')).toBe('5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b')
})

it('CRC-32C is that of RFC 3720', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
})
