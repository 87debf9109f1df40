/** Every refusal of path validation has a line of its own that says what to change; what fits has none. */
import { describe, expect, it } from 'vitest'
import { checkCertificate, fits, type CheckInput } from '../../deriver/check-certificate.ts'
import { type Bytes, fromHex } from '../../shared/bytes.ts'
import { der, derInteger, derOctets, derOid, derSequence } from '../../shared/der.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import {
  aki,
  basic,
  CLIENT_AUTH,
  eku,
  entry,
  ext,
  keyUsage,
  makeWorld,
  nameConstraints,
  NOW,
  san,
  ski,
  uriName,
  type Difference,
  type World,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('ES256')
const RULES = ['keyferry://client.acme.example/*']
const VERDICT = 'path validation, as every party does it'

async function check(difference: Difference = {}, more: Partial<CheckInput> = {}) {
  const { certificates, anchors, crls } = await world.make(difference)
  const given = { certificates, anchors, crls: crls as Bytes[], ekus: [CLIENT_AUTH], sans: RULES }
  return checkCertificate({ ...given, now: NOW, ...more })
}

const sha1 = derSequence(derOid('1.2.840.113549.1.1.5'), fromHex('0500'))
const rsaKey = derSequence(
  derSequence(derOid('1.2.840.113549.1.1.1'), fromHex('0500')),
  der(0x03, Uint8Array.of(0), derSequence(derInteger(65_537), derInteger(3))),
)
const other = await generateSigningKey('ES256', false)
const leaf = (extensions: Record<string, Bytes | undefined>): Difference => ({
  leaf: { extensions },
})
const ca = (extensions: Record<string, Bytes | undefined>): Difference => ({ ca: { extensions } })
const any = ext('2.5.29.37', derSequence(derOid('2.5.29.37.0')))

/** What is odd, the requirement that says so, and a word of what to change. */
const CASES: [string, Difference, string | RegExp, string][] = [
  [
    'version 1',
    { leaf: { version: new Uint8Array(), extensionField: new Uint8Array() } },
    'version: 3',
    'extensions',
  ],
  ['a negative serial', { leaf: { serial: fromHex('020181') } }, /^serial/, 'random serials'],
  ['serial 0', { leaf: { serial: fromHex('020100') } }, /^serial/, 'random serials'],
  ['SHA-1', { leaf: { innerAlgorithm: sha1, outerAlgorithm: sha1 } }, /^signature: one/, 'sha256'],
  ['two algorithms', { leaf: { innerAlgorithm: sha1 } }, /^signature: one/, 'CA is broken'],
  ['an RSA leaf', { leaf: { spki: rsaKey } }, /^key: Ed25519/, 'new Ed25519 or P-256 key'],
  [
    'a weak key',
    { leaf: { spki: fromHex(`302a300506032b6570032100${'00'.repeat(32)}`) } },
    /^key: Ed25519/,
    'new',
  ],
  ['expired', { leaf: { notAfter: NOW - 1 } }, 'validity: now', 'anew'],
  ['not yet valid', { leaf: { notBefore: NOW + 1 } }, 'validity: now', 'clock'],
  ['a CA', leaf({ basic: basic(true) }), 'end entity: not a CA', 'CA:FALSE'],
  [
    'no key usage',
    leaf({ keyUsage: undefined }),
    'key usage: digitalSignature',
    'digitalSignature',
  ],
  [
    'another key usage',
    leaf({ keyUsage: keyUsage(2) }),
    'key usage: digitalSignature',
    'digitalSignature',
  ],
  [
    'keyCertSign',
    leaf({ keyUsage: keyUsage(0, 5) }),
    /^key usage: neither/,
    'digitalSignature alone',
  ],
  ['no EKU', leaf({ eku: undefined }), /^extended key usage/, 'add extendedKeyUsage = clientAuth'],
  ['any EKU', leaf({ eku: any }), /^extended key usage/, 'add extendedKeyUsage = clientAuth'],
  [
    'no alternative name',
    leaf({ san: undefined }),
    /^subject alternative/,
    'subjectAltName = URI:',
  ],
  [
    'only a DNS name',
    leaf({ san: san([der(0x82, Uint8Array.of(97))]) }),
    /^subject alternative/,
    'subjectAltName',
  ],
  [
    'two URIs',
    leaf({ san: san([uriName(`${RULES[0]}a`), uriName('x://y/z')]) }),
    /^subject alternative/,
    'no other URI',
  ],
  [
    'a URI without host',
    leaf({ san: san([uriName('urn:alice')]) }),
    /^URI: scheme/,
    'subjectAltName',
  ],
  [
    'a URI with an address',
    leaf({ san: san([uriName('x://10.0.0.1/a')]) }),
    /^URI: scheme/,
    'subjectAltName',
  ],
  [
    'a URI of no rule',
    leaf({ san: san([uriName('x://client.acme.example/a')]) }),
    /^URI: a SAN rule/,
    'subjectAltName',
  ],
  ['no name', { leaf: { subject: derSequence() } }, /^subject: not empty/, 'CN=NAME'],
  [
    'constraints in a leaf',
    leaf({ nc: nameConstraints([uriName('acme.example')], []) }),
    /^name constraints: none/,
    'leave',
  ],
  ['a repeated extension', leaf({ again: eku(CLIENT_AUTH) }), 'extensions: each once', 'second'],
  [
    'an unknown critical one',
    leaf({ odd: ext('1.2.3.4', derOctets(new Uint8Array(1)), true) }),
    /^extensions: none critical/,
    'leave it out',
  ],
  [
    'a critical key identifier',
    leaf({ ski: ext('2.5.29.14', derOctets(new Uint8Array(20)), true) }),
    /^extensions: none critical/,
    'leave',
  ],
  [
    'policy constraints',
    leaf({ odd: ext('2.5.29.36', derSequence(der(0x80, Uint8Array.of(0)))) }),
    /^extensions: none critical/,
    'policies',
  ],
  ['too large', leaf({ odd: ext('1.2.3.4', new Uint8Array(17_000)) }), /^size/, 'smaller'],
  ['not DER', { leaf: { serial: fromHex('02020001') } }, /^encoding/, 'DER'],
  ['issuer of another name', { leaf: { issuer: derSequence() } }, /^issuer: a path/, '--chain'],
  [
    'another key signed',
    { leaf: { key: other } },
    /^CA "Odd issuing CA", signature: by/,
    'issued it',
  ],
  [
    'another key identifier',
    leaf({ aki: aki(new Uint8Array(20)) }),
    /key identifiers/,
    'another key',
  ],
  [
    'an excluded name',
    ca({ nc: nameConstraints([], [uriName('client.acme.example')]) }),
    /name constraints: the URI/,
    'host',
  ],
  [
    'not a permitted name',
    ca({ nc: nameConstraints([uriName('.evil.example')], []) }),
    /name constraints: the URI/,
    'host',
  ],
  ['an issuer that is no CA', ca({ basic: basic(false) }), /basicConstraints: CA/, 'CA:TRUE'],
  [
    'path length 0 above a CA',
    { root: { extensions: { basic: basic(true, 0) } } },
    /basicConstraints: CA/,
    'nearer',
  ],
  [
    'a CA without keyCertSign',
    ca({ keyUsage: keyUsage(6) }),
    /key usage: keyCertSign/,
    'keyCertSign',
  ],
  ['a CA without cRLSign', ca({ keyUsage: keyUsage(5) }), /key usage: keyCertSign/, 'cRLSign'],
  [
    'a CA for another use',
    ca({ eku: eku('1.3.6.1.5.5.7.3.1') }),
    /^CA .*extended key usage/,
    'clientAuth',
  ],
  [
    'a CA without a name',
    { ca: { subject: derSequence() }, leaf: { issuer: derSequence() } },
    /^CA .*subject/,
    'name',
  ],
  ['a CA that is over', { ca: { notAfter: NOW - 1 } }, /^CA .*validity/, 'anew'],
  ['an anchor that is over', { root: { notAfter: NOW - 1 } }, /^CA "Odd root", validity/, 'anew'],
  ['no list', { crls: [] }, VERDICT, 'crl import'],
  [
    'revoked',
    { caCrl: { entries: [entry(world.leaf.id.slice(0, 16).fill(0x41, 0, 1))] } },
    VERDICT,
    'new key',
  ],
]

describe('a certificate that does not fit', () => {
  it.each(CASES)('%s', async (_what, difference, line, change) => {
    const result = await check(difference)
    const matches = (text: string): boolean =>
      typeof line === 'string' ? text === line : line.test(text)
    const found = result.find(({ requirement, ok }) => ok === false && matches(requirement))
    expect(result.filter(({ ok }) => ok === false)).toContainEqual(found)
    expect(found?.change).toContain(change)
    expect(fits(result)).toBe(false)
  })

  it('says one thing alone where one thing alone is wrong, besides the verdict', async () => {
    const wrong = async (difference: Difference): Promise<string[]> =>
      (await check(difference))
        .filter(({ ok }) => ok === false)
        .map(({ requirement }) => requirement)
    expect(await wrong(leaf({ eku: undefined }))).toEqual([
      expect.stringMatching(/^extended key/),
      VERDICT,
    ])
    expect(await wrong({ leaf: { notAfter: NOW - 1 } })).toEqual(['validity: now', VERDICT])
    expect(await wrong(leaf({ san: san([uriName('x://client.acme.example/a')]) }))).toEqual([
      'URI: a SAN rule of the role',
    ])
  })
})

describe('a certificate that fits', () => {
  it.each(['Ed25519', 'ES256'] as const)('%s', async (alg) => {
    const own: World = await makeWorld(alg)
    const { certificates, anchors, crls } = await own.make()
    const input = {
      certificates,
      anchors,
      crls: crls as Bytes[],
      ekus: [CLIENT_AUTH],
      sans: RULES,
      now: NOW,
    }
    const result = await checkCertificate(input)
    expect(result.filter(({ ok }) => ok !== true)).toEqual([])
    expect(result.length).toBeGreaterThan(20)
    // CAs in any order, the anchor and strangers among them.
    const [end, issuing] = certificates
    const strangers = await (await makeWorld(alg)).make()
    const mixed = [end!, strangers.certificates[1]!, anchors[0]!, issuing!]
    expect(fits(await checkCertificate({ ...input, certificates: mixed }))).toBe(true)
    // An issuing CA as the anchor, and nothing above it.
    const short = { ...input, certificates: [end!], anchors: [issuing!] }
    expect(fits(await checkCertificate(short))).toBe(true)
  })

  it('what cannot be checked is said to be so, and does not fail', async () => {
    const result = await check({}, { sans: null, crls: null })
    expect(result.filter(({ ok }) => ok === null).map(({ requirement }) => requirement)).toEqual([
      'URI: a SAN rule of the role',
    ])
    expect(result.at(-1)?.why).toContain('revocation not checked')
    expect(fits(result)).toBe(true)
  })

  it('an empty subject fits with a critical alternative name', async () => {
    const critical = san([uriName('keyferry://client.acme.example/alice')], true)
    const difference = { leaf: { subject: derSequence(), extensions: { san: critical } } }
    expect(fits(await check(difference))).toBe(true)
    expect(fits(await check(leaf({ ski: ski(new Uint8Array(20)) })))).toBe(true)
  })
})

it('every cut of a certificate is explained, not thrown', async () => {
  const { certificates, anchors } = await world.make()
  const input = { anchors, crls: null, ekus: [CLIENT_AUTH], sans: RULES, now: NOW }
  for (let length = 0; length < certificates[0]!.length; length += 7) {
    const cut = [certificates[0]!.slice(0, length)]
    expect(fits(await checkCertificate({ ...input, certificates: cut }))).toBe(false)
  }
  await expect(checkCertificate({ ...input, certificates: [] })).rejects.toThrow(RangeError)
})
