import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, hex, utf8 } from '../../shared/bytes.ts'
import { checkCrl, parseCrl } from '../../shared/crl.ts'
import {
  der,
  derExplicit,
  derImplicit,
  derInteger,
  derSequence,
  derTime,
  ENUMERATED,
} from '../../shared/der.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
import { type Certificate, parseCertificate } from '../../shared/x509.ts'
import {
  aki,
  crlNumber,
  DAY,
  entry,
  errorCode,
  ext,
  flips,
  keyUsage,
  makeCertificate,
  makeCrl,
  makeWorld,
  type Odd,
  type OddCrl,
  name,
  NOW,
  truncations,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('Ed25519')
const { ca, root } = world

async function makeIssuer(odd: Odd = {}): Promise<Certificate> {
  return parseCertificate(await makeCertificate(ca, root, world.extensions.ca, odd))
}
const issuer = await makeIssuer()

async function check(odd: OddCrl = {}, now = NOW, by = issuer): Promise<unknown> {
  return checkCrl(parseCrl(await makeCrl(ca, odd)), by, now)
}

function reason(code: number, isCritical = false): Bytes {
  return ext('2.5.29.21', derInteger(code, ENUMERATED), isCritical)
}

describe('parseCrl', () => {
  it('reads every field', async () => {
    const entries = [entry(5), entry(fromHex('ff'), reason(1)), entry(300, reason(4))]
    const crl = parseCrl(await makeCrl(ca, { entries, extensions: { number: crlNumber(7) } }))
    expect(crl.issuer).toEqual(ca.name)
    expect([crl.thisUpdate, crl.nextUpdate, crl.number]).toEqual([NOW - DAY, NOW + DAY, 7])
    expect(crl.authorityKeyId).toEqual(ca.id)
    expect([...crl.revoked]).toEqual(['05', '00ff', '012c'])
  })

  const refused: [string, OddCrl][] = [
    ['version 1', { version: new Uint8Array(0) }],
    ['version 1 written out', { version: derInteger(0) }],
    ['version 3', { version: derInteger(2) }],
    ['another inner algorithm', { innerAlgorithm: fromHex('300a06082a8648ce3d040302') }],
    ['another outer algorithm', { outerAlgorithm: fromHex('300a06082a8648ce3d040302') }],
    [
      'an unknown algorithm',
      {
        innerAlgorithm: fromHex('300906072a8648ce3d0401'),
        outerAlgorithm: fromHex('300906072a8648ce3d0401'),
      },
    ],
    ['no next update', { nextUpdate: new Uint8Array(0) }],
    ['no such date', { thisUpdate: der(0x17, utf8('230230000000Z')) }],
    ['an empty list of entries', { entries: [] }],
    ['no extensions', { extensionField: new Uint8Array(0) }],
    ['empty extensions', { extensionField: derExplicit(0, derSequence()) }],
    [
      'bytes after the extensions',
      {
        extensionField: concat(derExplicit(0, derSequence(crlNumber(1))), fromHex('0500')),
      },
    ],
    ['no number', { extensions: { number: undefined } }],
    ['a negative number', { extensions: { number: ext('2.5.29.20', der(0x02, fromHex('ff'))) } }],
    [
      'a number above 2^53 - 1',
      {
        extensions: { number: ext('2.5.29.20', der(0x02, fromHex('20000000000000'))) },
      },
    ],
    ['an extension twice', { extensions: { more: crlNumber(2) } }],
    ['an unknown critical extension', { extensions: { a: ext('1.2.3.4', derSequence(), true) } }],
    ['a critical distribution point', { extensions: { a: ext('2.5.29.28', derSequence(), true) } }],
    ['a distribution point', { extensions: { a: ext('2.5.29.28', derSequence()) } }],
    ['a critical delta indicator', { extensions: { a: ext('2.5.29.27', derInteger(1), true) } }],
    ['a delta indicator', { extensions: { a: ext('2.5.29.27', derInteger(1)) } }],
    ['a padded serial', { entries: [derSequence(der(0x02, fromHex('0001')), derTime(NOW))] }],
    ['an entry without a date', { entries: [derSequence(derInteger(1))] }],
    [
      'an entry with more than extensions',
      {
        entries: [derSequence(derInteger(1), derTime(NOW), derSequence(reason(1)), derInteger(1))],
      },
    ],
    [
      'an entry with empty extensions',
      {
        entries: [derSequence(derInteger(1), derTime(NOW), derSequence())],
      },
    ],
    ['an entry extension twice', { entries: [entry(1, reason(1), reason(1))] }],
    [
      'an unknown critical entry extension',
      {
        entries: [entry(1), entry(2, ext('1.2.3.4', derSequence(), true))],
      },
    ],
    ['a critical reason', { entries: [entry(1, reason(1, true))] }],
    ['an entry of another CA', { entries: [entry(1, ext('2.5.29.29', derSequence()))] }],
    ['removeFromCRL', { entries: [entry(1, reason(8))] }],
    ['reason 7', { entries: [entry(1, reason(7))] }],
    ['reason 11', { entries: [entry(1, reason(11))] }],
    ['a reason of another type', { entries: [entry(1, ext('2.5.29.21', derInteger(1)))] }],
  ]
  it.each(refused)('refuses %s', async (_, odd) => {
    const bytes = await makeCrl(ca, odd)
    expect(await errorCode(() => parseCrl(bytes))).toBe('ERR_CRL')
  })

  it('ignores other extensions that are not critical', async () => {
    const extensions = { a: ext('1.2.3.4', utf8('?')), aki: undefined }
    const entries = [entry(1, ext('2.5.29.24', der(0x18, utf8('20260101000000Z'))), reason(10))]
    expect(await errorCode(() => check({ extensions, entries }))).toBe('ok')
  })

  it('refuses more than 1 MiB before parsing', async () => {
    expect(await errorCode(() => parseCrl(new Uint8Array(1_048_576)))).toBe('ERR_CRL')
    expect(await errorCode(() => parseCrl(new Uint8Array(1_048_577)))).toBe('ERR_TOO_LARGE')
  })

  it('refuses every truncation and every appended byte', async () => {
    const bytes = await makeCrl(ca, { entries: [entry(1, reason(1))] })
    for (const part of [...truncations(bytes), concat(bytes, fromHex('00'))]) {
      expect(await errorCode(() => parseCrl(part))).toBe('ERR_CRL')
    }
  })

  it('answers arbitrary bytes with a KeyferryError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
        for (const input of [Uint8Array.from(noise), derSequence(derSequence(noise))]) {
          expect(await errorCode(() => parseCrl(input))).toBe('ERR_CRL')
        }
      }),
    )
  })

  it('reads 20,000 entries in well under a second', async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => entry(2 ** 40 + i))
    const crl = parseCrl(await makeCrl(ca, { entries }))
    expect(crl.revoked.size).toBe(20_000)
  }, 10_000)
})

describe('checkCrl [path-8]', () => {
  it('gives what later steps need', async () => {
    const entries = [entry(fromHex('ff'))]
    const crl = parseCrl(await makeCrl(ca, { entries, extensions: { number: crlNumber(9) } }))
    const verified = await checkCrl(crl, issuer, NOW)
    expect(verified.issuerKeyId).toEqual(await keyId(ca.key.spki))
    expect([verified.number, verified.thisUpdate, verified.nextUpdate]).toEqual([
      9,
      NOW - DAY,
      NOW + DAY,
    ])
    expect(verified.isRevoked(fromHex('00ff'))).toBe(true)
    expect(verified.isRevoked(fromHex('7f'))).toBe(false)
  })

  it('includes both bounds of its time', async () => {
    const codes = []
    for (const now of [NOW - DAY - 1, NOW - DAY, NOW + DAY, NOW + DAY + 1, Number.NaN]) {
      codes.push(await errorCode(() => check({}, now)))
    }
    expect(codes).toEqual(['ERR_CRL', 'ok', 'ok', 'ERR_CRL', 'ERR_CRL'])
  })

  it('refuses a list of another issuer', async () => {
    expect(await errorCode(() => check({ issuer: name('Other') }))).toBe('ERR_CRL')
    const parsed = parseCrl(await makeCrl(ca, { issuer: root.name }))
    expect(await errorCode(() => checkCrl(parsed, issuer, NOW))).toBe('ERR_CRL')
  })

  it('refuses a list of another key', async () => {
    const sameKind = await generateSigningKey('Ed25519', false)
    const otherKind = await generateSigningKey('ES256', false)
    expect(await errorCode(() => check({ key: sameKind }))).toBe('ERR_CRL')
    expect(await errorCode(() => check({ key: otherKind }))).toBe('ERR_CRL')
  })

  it('refuses another authority key id, and does without one', async () => {
    expect(await errorCode(() => check({ extensions: { aki: aki(root.id) } }))).toBe('ERR_CRL')
    expect(await errorCode(() => check({ extensions: { aki: undefined } }))).toBe('ok')
    const noKeyId = ext('2.5.29.35', derSequence(derExplicit(1), derImplicit(2, fromHex('01'))))
    expect(await errorCode(() => check({ extensions: { aki: noKeyId } }))).toBe('ok')
    const withoutSki = await makeIssuer({ extensions: { ski: undefined } })
    expect(await errorCode(() => check({}, NOW, withoutSki))).toBe('ok')
  })

  it('refuses an issuer without cRLSign', async () => {
    const certSignOnly = await makeIssuer({ extensions: { keyUsage: keyUsage(5) } })
    const noUsage = await makeIssuer({ extensions: { keyUsage: undefined } })
    expect(await errorCode(() => check({}, NOW, certSignOnly))).toBe('ERR_CRL')
    expect(await errorCode(() => check({}, NOW, noUsage))).toBe('ERR_CRL')
  })

  it('refuses every flipped byte', async () => {
    const bytes = await makeCrl(ca, { entries: [entry(1, reason(1))] })
    expect(await errorCode(() => checkCrl(parseCrl(bytes), issuer, NOW))).toBe('ok')
    for (const mask of [0x01, 0x80, 0xff]) {
      for (const bad of flips(bytes, mask)) {
        const code = await errorCode(() => checkCrl(parseCrl(bad), issuer, NOW))
        expect(code, hex(bad)).toBe('ERR_CRL')
      }
    }
  })
})
