// What is read of a certificate, and what an anchor may have otherwise.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, hex, utf8 } from '../../shared/bytes.ts'
import { der, derExplicit, derImplicit, derInteger, derSequence } from '../../shared/der.ts'
import { subtle } from '../../shared/platform.ts'
import {
  certificateFingerprint,
  DIGITAL_SIGNATURE,
  parseAnchor,
  parseCertificate,
} from '../../shared/x509.ts'
import {
  aki,
  DAY,
  eku,
  errorCode,
  ext,
  type Extensions,
  keyUsage,
  makeCertificate,
  makeWorld,
  nameConstraints,
  NOW,
  type Odd,
  san,
  truncations,
  URI,
  uriName,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('ES256')
const { ca, leaf } = world
const ECDSA_SHA1 = fromHex('300906072a8648ce3d0401')
const RSA_SHA256 = fromHex('300d06092a864886f70d01010b0500')
const DNS = der(0x82, utf8('acme.example'))

function make(odd: Odd = {}): Promise<Bytes> {
  return makeCertificate(leaf, ca, world.extensions.leaf, odd)
}

const withExtensions = (extensions: Extensions): Odd => ({ extensions })

describe('parseCertificate [path-1]', () => {
  it('reads every field', async () => {
    const bytes = await make({ serial: derInteger(fromHex('4102')) })
    const read = parseCertificate(bytes)
    expect(read.der).toEqual(bytes)
    expect(hex(read.serial)).toBe('4102')
    expect(read.issuer).toEqual(ca.name)
    expect(read.subject).toEqual(leaf.name)
    expect(read.hasSubject).toBe(true)
    expect([read.notBefore, read.notAfter]).toEqual([NOW - DAY, NOW + DAY])
    expect(read.spki).toEqual(leaf.key.spki)
    expect(read.isCa).toBe(false)
    expect(read.pathLength).toBeUndefined()
    expect(read.keyUsage).toBe(DIGITAL_SIGNATURE)
    expect(read.ekus).toEqual(['1.3.6.1.5.5.7.3.2'])
    expect(read.uris).toEqual([URI])
    expect(read.names.map(({ tag }) => tag)).toEqual([0xa4, 0x86])
    expect(read.names[0]?.content).toEqual(leaf.name)
    expect(read.nameConstraints).toBeUndefined()
    expect(read.subjectKeyId).toEqual(leaf.id)
    expect(read.authorityKeyId).toEqual(ca.id)
    expect(read.critical).toEqual(['2.5.29.19', '2.5.29.15'])
    expect(read.signed?.alg).toBe('ES256')
    const digest = await subtle().digest('SHA-256', bytes)
    expect(await certificateFingerprint(bytes)).toEqual(new Uint8Array(digest))
  })

  it('reads the fields of a CA', async () => {
    const odd = {
      nc: nameConstraints([uriName('.a.example'), uriName('b.example')], [uriName('c.example')]),
    }
    const bytes = await makeCertificate(ca, world.root, world.extensions.ca, withExtensions(odd))
    const read = parseCertificate(bytes)
    expect([read.isCa, read.pathLength]).toEqual([true, 0])
    const { permitted, excluded, hasDistance } = read.nameConstraints!
    expect(permitted.map(({ text }) => text)).toEqual(['.a.example', 'b.example'])
    expect(excluded.map(({ text }) => text)).toEqual(['c.example'])
    expect(hasDistance).toBe(false)
  })

  it('keeps its own copy', async () => {
    const bytes = await make()
    const read = parseCertificate(bytes)
    bytes.fill(0)
    expect(read.der[0]).toBe(0x30)
    expect(read.tbs[0]).toBe(0x30)
  })

  it.each([
    ['a serial of 20 octets', { serial: derInteger(new Uint8Array(20).fill(0x7f)) }],
    [
      'an unknown extension',
      withExtensions({ a: ext('2.25.340282366920938463463374607431768211455', utf8('?')) }),
    ],
    ['certificate policies', withExtensions({ a: ext('2.5.29.32', derSequence()) })],
    ['an empty subject', { subject: derSequence() }],
    ['names of other forms', withExtensions({ san: san([uriName(URI), DNS]) })],
    [
      'an AKI with issuer and serial',
      withExtensions({
        aki: ext(
          '2.5.29.35',
          derSequence(
            derImplicit(0, ca.id),
            derExplicit(1, der(0x82, utf8('a'))),
            derImplicit(2, fromHex('01')),
          ),
        ),
      }),
    ],
    [
      'GeneralizedTime before 2050',
      {
        validity: derSequence(
          der(0x18, utf8('20200101000000Z')),
          der(0x18, utf8('20300101000000Z')),
        ),
      },
    ],
  ] as [string, Odd][])('accepts %s', async (_, odd) => {
    expect(await errorCode(async () => parseCertificate(await make(odd)))).toBe('ok')
  })

  it('tells an empty subject, other names and constraints with a distance', async () => {
    expect(parseCertificate(await make({ subject: derSequence() })).hasSubject).toBe(false)
    const mixed = parseCertificate(await make(withExtensions({ san: san([DNS, uriName(URI)]) })))
    expect(mixed.uris).toEqual([URI])
    expect(mixed.names.map(({ tag }) => tag)).toEqual([0xa4, 0x82, 0x86])
    const bare = {
      keyUsage: undefined,
      eku: undefined,
      basic: undefined,
      ski: undefined,
      aki: undefined,
    }
    const read = parseCertificate(await make(withExtensions(bare)))
    expect([read.keyUsage, read.ekus, read.isCa]).toEqual([0, undefined, false])
    expect([read.subjectKeyId, read.authorityKeyId]).toEqual([undefined, undefined])
    const limited = derSequence(
      derExplicit(0, derSequence(uriName('a'), derImplicit(1, fromHex('05')))),
    )
    for (const [nc, hasDistance] of [
      [nameConstraints([DNS], []), false],
      [ext('2.5.29.30', limited), true],
    ] as const) {
      const odd = parseCertificate(await make(withExtensions({ nc })))
      expect(odd.nameConstraints?.hasDistance).toBe(hasDistance)
    }
  })

  it('refuses more than 16,384 bytes before parsing', async () => {
    const fill = (length: number): Promise<Bytes> =>
      make(withExtensions({ a: ext('1.2.3.4', new Uint8Array(length)) }))
    const most = await fill(15_000)
    const rest = 16_384 - most.length
    // The ECDSA signature has 70 to 72 bytes, so the exact limit is not hit on purpose here.
    expect(await errorCode(async () => parseCertificate(await fill(15_000 + rest - 4)))).toBe('ok')
    expect(await errorCode(async () => parseCertificate(await fill(15_000 + rest + 4)))).toBe(
      'ERR_TOO_LARGE',
    )
    expect(await errorCode(() => parseCertificate(new Uint8Array(16_384)))).toBe('ERR_MALFORMED')
    expect(await errorCode(() => parseCertificate(new Uint8Array(16_385)))).toBe('ERR_TOO_LARGE')
  })

  it('refuses every truncation and every appended byte', async () => {
    const bytes = await make()
    for (const part of [...truncations(bytes), concat(bytes, fromHex('00'))]) {
      expect(await errorCode(() => parseCertificate(part))).toBe('ERR_MALFORMED')
    }
  })

  it('answers arbitrary bytes with a KeyferryError', async () => {
    const bytes = await make()
    const at = fc.nat({ max: bytes.length - 1 })
    const edits = fc.array(fc.tuple(at, fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(edits, fc.uint8Array({ maxLength: 80 }), async (list, noise) => {
        const edited = bytes.slice()
        for (const [index, octet] of list) edited[index] = octet
        for (const input of [edited, Uint8Array.from(noise), derSequence(noise)]) {
          // Anything else that is thrown fails the test.
          await errorCode(() => parseCertificate(input))
          await errorCode(() => parseAnchor(input))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('parseAnchor', () => {
  it.each([
    ['its serial', { serial: derInteger(0) }],
    ['its algorithms', { innerAlgorithm: RSA_SHA256, outerAlgorithm: ECDSA_SHA1 }],
  ] as [string, Odd][])('does not look at %s', async (_, odd) => {
    const anchor = parseAnchor(await make(odd))
    expect(anchor.signed).toBeUndefined()
  })

  it.each([
    ['version 1', 'ERR_CERT_PROFILE', { version: new Uint8Array(0) }],
    [
      'an unknown critical extension',
      'ERR_CERT_PROFILE',
      withExtensions({ a: ext('1.2.3.4', derSequence(), true) }),
    ],
    ['a padded serial', 'ERR_MALFORMED', { serial: der(0x02, fromHex('0001')) }],
    [
      'a padded key usage',
      'ERR_MALFORMED',
      withExtensions({ keyUsage: ext('2.5.29.15', fromHex('03020080')) }),
    ],
  ] as [string, string, Odd][])('refuses %s: %s', async (_, code, odd) => {
    const bytes = await make(odd)
    expect(await errorCode(() => parseAnchor(bytes))).toBe(code)
  })

  it('refuses more than 16,384 bytes', async () => {
    expect(await errorCode(() => parseAnchor(new Uint8Array(16_385)))).toBe('ERR_TOO_LARGE')
  })
})

it('the helpers make what they say', () => {
  expect(hex(keyUsage(0))).toBe('300e0603551d0f0101ff040403020780')
  expect(hex(eku('1.2')).length + hex(aki(ca.id)).length).toBeGreaterThan(0)
})
