import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, utf8 } from '../../shared/bytes.ts'
import { createCsr, makeName, parseCsr } from '../../shared/csr.ts'
import {
  der,
  derBits,
  derExplicit,
  derInteger,
  derOid,
  derSequence,
  derSet,
} from '../../shared/der.ts'
import {
  algorithmIdentifier,
  generateSigningKey,
  signBytes,
  signDer,
} from '../../shared/signature.ts'
import { errorCode, flips, truncations } from '../lib/odd-certificates.ts'

const key = await generateSigningKey('ES256', false)

type OddCsr = {
  version?: Bytes
  name?: Bytes
  spki?: Bytes
  attributes?: Bytes
  signer?: typeof key
}

function makeCsr(odd: OddCsr = {}): Promise<Bytes> {
  const tbs = derSequence(
    odd.version ?? derInteger(0),
    odd.name ?? makeName('alice'),
    odd.spki ?? key.spki,
    odd.attributes ?? derExplicit(0),
  )
  return signDer(odd.signer ?? key, tbs)
}

function commonName(tag: number, value: Bytes): Bytes {
  return derSet(derSequence(derOid('2.5.4.3'), der(tag, value)))
}

describe.each(['Ed25519', 'ES256'] as const)('%s', async (alg) => {
  const own = await generateSigningKey(alg, false)

  it('round-trips with a key that cannot leave the platform', async () => {
    const csr = await createCsr(own, "Ada's phone – blue")
    expect(await parseCsr(csr)).toEqual({ spki: own.spki, commonName: "Ada's phone – blue" })
  })

  it('openssl verifies it', async () => {
    const csr = await createCsr(own, 'alice')
    const args = ['req', '-inform', 'DER', '-verify', '-noout', '-subject']
    const text = execFileSync('openssl', args, { input: csr, stdio: ['pipe', 'pipe', 'ignore'] })
    expect(text.toString()).toContain('CN = alice')
  })

  it('refuses every flipped byte and every truncation', async () => {
    const csr = await createCsr(own, 'alice')
    for (const bad of [...truncations(csr), ...flips(csr, 0x01), ...flips(csr, 0x80)]) {
      expect(await errorCode(() => parseCsr(bad))).not.toBe('ok')
    }
    const longer = concat(csr, fromHex('00'))
    expect(await errorCode(() => parseCsr(longer))).toBe('ERR_MALFORMED')
  })
})

it.each(['', 'x'.repeat(65), 'line\nbreak'])('does not write the name %j', (name) => {
  expect(() => makeName(name)).toThrow(RangeError)
  expect(() => makeName('alice', name)).toThrow(RangeError)
})

const other = await generateSigningKey('ES256', false)
const ed = await generateSigningKey('Ed25519', false)
const weak = fromHex(`302a300506032b6570032100${'00'.repeat(32)}`)
it.each([
  ['another key’s signature', 'ERR_SIGNATURE', { signer: other }],
  ['another kind of signature', 'ERR_SIGNATURE', { signer: ed }],
  ['another version', 'ERR_MALFORMED', { version: derInteger(1) }],
  ['no attributes', 'ERR_MALFORMED', { attributes: new Uint8Array(0) }],
  [
    'something after the attributes',
    'ERR_MALFORMED',
    { attributes: concat(derExplicit(0), derInteger(1)) },
  ],
  ['a weak key', 'ERR_WEAK_KEY', { spki: weak }],
  [
    'another kind of key',
    'ERR_CERT_PROFILE',
    { spki: derSequence(derSequence(), derBits(fromHex('00'))) },
  ],
  ['no common name', 'ERR_CERT_PROFILE', { name: derSequence() }],
  [
    'two common names',
    'ERR_CERT_PROFILE',
    {
      name: derSequence(commonName(0x0c, utf8('a')), commonName(0x0c, utf8('b'))),
    },
  ],
  ['an empty common name', 'ERR_CERT_PROFILE', { name: derSequence(commonName(0x0c, utf8(''))) }],
  [
    'a long common name',
    'ERR_CERT_PROFILE',
    { name: derSequence(commonName(0x0c, utf8('x'.repeat(65)))) },
  ],
  [
    'a control character',
    'ERR_CERT_PROFILE',
    { name: derSequence(commonName(0x0c, utf8('a\u0000b'))) },
  ],
  ['a BMPString', 'ERR_CERT_PROFILE', { name: derSequence(commonName(0x1e, utf8('ab'))) }],
  ['invalid UTF-8', 'ERR_MALFORMED', { name: derSequence(commonName(0x0c, fromHex('ff'))) }],
] as [string, string, OddCsr][])('refuses %s: %s', async (_, code, odd) => {
  const csr = await makeCsr(odd)
  expect(await errorCode(() => parseCsr(csr))).toBe(code)
})

it('refuses a signature under the name of another algorithm', async () => {
  const tbs = derSequence(derInteger(0), makeName('alice'), key.spki, derExplicit(0))
  const bits = derBits(await signBytes(key, tbs))
  const csr = derSequence(tbs, algorithmIdentifier('Ed25519'), bits)
  expect(await errorCode(() => parseCsr(csr))).toBe('ERR_SIGNATURE')
})

it('reads the organization away and ignores attributes', async () => {
  const attributes = derExplicit(0, derSequence(derOid('1.2.3'), derSet(derInteger(1))))
  const csr = await makeCsr({ name: makeName('alice', 'Acme'), attributes })
  expect((await parseCsr(csr)).commonName).toBe('alice')
})

it('refuses more than 8,192 bytes before parsing', async () => {
  expect(await errorCode(() => parseCsr(new Uint8Array(8192)))).toBe('ERR_MALFORMED')
  expect(await errorCode(() => parseCsr(new Uint8Array(8193)))).toBe('ERR_TOO_LARGE')
})

it('answers arbitrary bytes with a KeyferryError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (noise) => {
      for (const input of [Uint8Array.from(noise), derSequence(derSequence(noise))]) {
        expect(await errorCode(() => parseCsr(input))).not.toBe('ok')
      }
    }),
  )
})
