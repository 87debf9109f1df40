import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { type Bytes, fromHex, utf8 } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { der, derBits, derImplicit, derInteger, derSequence } from '../../shared/der.ts'
import { readUriHost } from '../../shared/names.ts'
import { matchesSanRule, type PathInput, validatePath } from '../../shared/path.ts'
import {
  algorithmIdentifier,
  generateSigningKey,
  keyId,
  readSigned,
  signBytes,
} from '../../shared/signature.ts'
import { certificateFingerprint, parseCertificate } from '../../shared/x509.ts'
import {
  aki,
  basic,
  CLIENT_AUTH,
  crlNumber,
  DAY,
  type Difference,
  eku,
  entry,
  errorCode,
  ext,
  type Extensions,
  flips,
  keyUsage,
  makeCertificate,
  makeCrl,
  makeWorld,
  name,
  nameConstraints,
  NOW,
  type Odd,
  san,
  ski,
  truncations,
  URI,
  uriName,
} from '../lib/odd-certificates.ts'
import { makeOpensslCa } from '../lib/openssl-ca.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY = '2.5.29.37.0'
const world = await makeWorld('ES256')
const { root, ca, leaf } = world
const withExtensions = (extensions: Extensions): Odd => ({ extensions })
const dns = der(0x82, utf8('acme.example'))
const registered = der(0x88, fromHex('2a03'))
const weakSpki = fromHex(`302a300506032b6570032100${'01'.padEnd(64, '0')}`)

describe.each(['ES256', 'Ed25519'] as const)('a valid path of %s', async (alg) => {
  const own = await makeWorld(alg)

  it('gives what later steps need', async () => {
    const entries = [entry(0x7777)]
    const caCrl = { entries, extensions: { number: crlNumber(42) } }
    const input = await own.make({ caCrl, ca: { notAfter: NOW + 5 } })
    const path = await validatePath(input)
    expect(path.leaf.der).toEqual(input.certificates[0])
    expect(path.uri).toBe(URI)
    expect(path.spki).toEqual(own.leaf.key.spki)
    expect([path.key.alg, path.key.spki]).toEqual([alg, own.leaf.key.spki])
    expect(path.fingerprint).toEqual(await certificateFingerprint(input.certificates[0]!))
    expect(path.notAfter).toBe(NOW + 5)
    const [first, second, ...others] = path.issuers
    expect([first?.crlNumber, second?.crlNumber, others.length]).toEqual([42, 1, 0])
    expect(first?.keyId).toEqual(await keyId(own.ca.key.spki))
    expect(second?.keyId).toEqual(await keyId(own.root.key.spki))
    expect(first?.crlHash).toEqual(await certificateFingerprint(input.crls[1] as Bytes))
  })

  it('stays valid with nothing changed and with none of its bytes changed', async () => {
    const input = await own.make()
    expect(await errorCode(() => validatePath(input))).toBe('ok')
    for (const [index, certificate] of input.certificates.entries()) {
      for (const bad of [
        ...truncations(certificate),
        ...flips(certificate, 0x01),
        ...flips(certificate, 0x80),
      ]) {
        const certificates = input.certificates.with(index, bad)
        expect(await errorCode(() => validatePath({ ...input, certificates }))).not.toBe('ok')
      }
    }
  })
})

it('the earliest end is also that of the anchor or the leaf', async () => {
  expect((await world.validate({ root: { notAfter: NOW + 3 } })).notAfter).toBe(NOW + 3)
  expect((await world.validate({ leaf: { notAfter: NOW + 4 } })).notAfter).toBe(NOW + 4)
})

describe('refuses', () => {
  const cases: [string, string, Difference][] = [
    // [path-1]
    [
      '[path-1] an unknown critical extension in the leaf',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ a: ext('1.2.3', derSequence(), true) }) },
    ],
    [
      '[path-1] an unknown critical extension in the CA',
      'ERR_CERT_PROFILE',
      { ca: withExtensions({ a: ext('1.2.3', derSequence(), true) }) },
    ],
    [
      '[path-1] an unknown critical extension in the anchor',
      'ERR_CERT_PROFILE',
      { root: withExtensions({ a: ext('1.2.3', derSequence(), true) }) },
    ],
    [
      '[path-1] an algorithm outside that is not the one inside',
      'ERR_CERT_PROFILE',
      { leaf: { outerAlgorithm: fromHex('300506032b6570') } },
    ],
    // [path-2]
    [
      '[path-2] an issuer name that is not the next subject',
      'ERR_PATH_INVALID',
      { leaf: { issuer: name('Other') } },
    ],
    [
      '[path-2] a name in another string type',
      'ERR_PATH_INVALID',
      {
        leaf: {
          issuer: der(
            0x30,
            der(0x31, der(0x30, fromHex('0603550403'), der(0x0c, utf8('Odd issuing CA')))),
          ),
        },
      },
    ],
    [
      '[path-2] an issuer name that no anchor has',
      'ERR_PATH_INVALID',
      { ca: { issuer: name('Other') } },
    ],
    ['[path-2] no anchors', 'ERR_PATH_INVALID', { input: { anchors: [] } }],
    [
      '[path-2] an AKI that is not the SKI of the next',
      'ERR_PATH_INVALID',
      { leaf: withExtensions({ aki: aki(root.id) }) },
    ],
    [
      '[path-2] an AKI that is not the SKI of the anchor',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ aki: aki(ca.id) }) },
    ],
    [
      '[path-2] an SKI of the CA that is not the AKI below',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ ski: ski(root.id) }) },
    ],
    ['[path-2] no certificate', 'ERR_PATH_INVALID', { input: { certificates: [] } }],
    // [path-3]
    ['[path-3] a leaf that has ended', 'ERR_CERT_EXPIRED', { leaf: { notAfter: NOW - 1 } }],
    ['[path-3] a leaf that has not begun', 'ERR_CERT_EXPIRED', { leaf: { notBefore: NOW + 1 } }],
    ['[path-3] a CA that has ended', 'ERR_CERT_EXPIRED', { ca: { notAfter: NOW - 1 } }],
    ['[path-3] a CA that has not begun', 'ERR_CERT_EXPIRED', { ca: { notBefore: NOW + 1 } }],
    ['[path-3] an anchor that has ended', 'ERR_CERT_EXPIRED', { root: { notAfter: NOW - 1 } }],
    ['[path-3] an anchor that has not begun', 'ERR_CERT_EXPIRED', { root: { notBefore: NOW + 1 } }],
    ['[path-3] no time', 'ERR_CERT_EXPIRED', { input: { now: Number.NaN } }],
    // [path-4]
    [
      '[path-4] a CA without basicConstraints',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ basic: undefined }) },
    ],
    [
      '[path-4] a CA with cA FALSE',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ basic: basic(false) }) },
    ],
    [
      '[path-4] an anchor without basicConstraints',
      'ERR_PATH_INVALID',
      { root: withExtensions({ basic: undefined }) },
    ],
    [
      '[path-4] a CA without keyCertSign',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ keyUsage: keyUsage(0, 6) }) },
    ],
    [
      '[path-4] a CA without keyUsage',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ keyUsage: undefined }) },
    ],
    [
      '[path-4] an anchor without keyCertSign',
      'ERR_PATH_INVALID',
      { root: withExtensions({ keyUsage: keyUsage(6) }) },
    ],
    [
      '[path-4] a path longer than the anchor allows',
      'ERR_PATH_INVALID',
      { root: withExtensions({ basic: basic(true, 0) }) },
    ],
    [
      '[path-4] a CA for another use',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ eku: eku(SERVER_AUTH) }) },
    ],
    [
      '[path-4] an anchor for another use',
      'ERR_PATH_INVALID',
      { root: withExtensions({ eku: eku(SERVER_AUTH) }) },
    ],
    [
      '[path-4] a CA without a subject',
      'ERR_PATH_INVALID',
      {
        ca: { subject: derSequence() },
        leaf: { issuer: derSequence() },
        caCrl: { issuer: derSequence() },
      },
    ],
    [
      '[path-4] an anchor without a subject',
      'ERR_PATH_INVALID',
      {
        root: { subject: derSequence() },
        ca: { issuer: derSequence() },
        rootCrl: { issuer: derSequence() },
      },
    ],
    // [path-5]
    ['[path-5] a CA as leaf', 'ERR_CERT_PROFILE', { leaf: withExtensions({ basic: basic(true) }) }],
    [
      '[path-5] a leaf without keyUsage',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ keyUsage: undefined }) },
    ],
    [
      '[path-5] a leaf without digitalSignature',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ keyUsage: keyUsage(4) }) },
    ],
    [
      '[path-5] a leaf with keyCertSign',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ keyUsage: keyUsage(0, 5) }) },
    ],
    [
      '[path-5] a leaf with cRLSign',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ keyUsage: keyUsage(0, 6) }) },
    ],
    [
      '[path-5] a leaf without EKU',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ eku: undefined }) },
    ],
    [
      '[path-5] a leaf of another EKU',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ eku: eku(SERVER_AUTH) }) },
    ],
    ['[path-5] a leaf of any EKU', 'ERR_CERT_PROFILE', { leaf: withExtensions({ eku: eku(ANY) }) }],
    [
      '[path-5] a leaf with one of two EKUs',
      'ERR_CERT_PROFILE',
      { ca: withExtensions({ eku: undefined }), input: { eku: [CLIENT_AUTH, SERVER_AUTH] } },
    ],
    [
      '[path-5] a leaf with name constraints',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ nc: nameConstraints([uriName('.acme.example')], []) }) },
    ],
    [
      '[path-5] an empty subject without a critical SAN',
      'ERR_CERT_PROFILE',
      { leaf: { subject: derSequence() } },
    ],
    // [path-6]
    ['[path-6] no SAN', 'ERR_CERT_PROFILE', { leaf: withExtensions({ san: undefined }) }],
    ['[path-6] no URI', 'ERR_CERT_PROFILE', { leaf: withExtensions({ san: san([dns]) }) }],
    [
      '[path-6] two URIs',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ san: san([uriName(URI), uriName(`${URI}2`)]) }) },
    ],
    [
      '[path-6] the same URI twice',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ san: san([uriName(URI), uriName(URI)]) }) },
    ],
    [
      '[path-6] a URI without a host',
      'ERR_CERT_PROFILE',
      {
        ca: withExtensions({ nc: undefined }),
        leaf: withExtensions({ san: san([uriName('urn:acme:alice')]) }),
      },
    ],
    // [path-7]
    [
      '[path-7] a host that is not permitted',
      'ERR_PATH_INVALID',
      { leaf: withExtensions({ san: san([uriName('keyferry://client.evil.example/alice')]) }) },
    ],
    [
      '[path-7] the parent of what is permitted',
      'ERR_PATH_INVALID',
      { leaf: withExtensions({ san: san([uriName('keyferry://acme.example/alice')]) }) },
    ],
    [
      '[path-7] a host that only ends like what is permitted',
      'ERR_PATH_INVALID',
      { leaf: withExtensions({ san: san([uriName('keyferry://evilacme.example/alice')]) }) },
    ],
    [
      '[path-7] a subdomain of an exact host',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ nc: nameConstraints([uriName('acme.example')], []) }) },
    ],
    [
      '[path-7] an excluded host that is also permitted',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({
          nc: nameConstraints([uriName('.acme.example')], [uriName('client.acme.example')]),
        }),
      },
    ],
    [
      '[path-7] an excluded host in other letters',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ nc: nameConstraints([], [uriName('.ACME.example')]) }) },
    ],
    [
      '[path-7] a host in other letters that is excluded',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({ nc: nameConstraints([], [uriName('.acme.example')]) }),
        leaf: withExtensions({ san: san([uriName('keyferry://client.ACME.example/alice')]) }),
      },
    ],
    [
      '[path-7] a constraint of the anchor',
      'ERR_PATH_INVALID',
      { root: withExtensions({ nc: nameConstraints([uriName('.other.example')], []) }) },
    ],
    [
      '[path-7] a URI of the CA that the anchor does not permit',
      'ERR_PATH_INVALID',
      {
        root: withExtensions({ nc: nameConstraints([uriName('.acme.example')], []) }),
        ca: withExtensions({ san: san([uriName('keyferry://ca.other.example/')]) }),
      },
    ],
    [
      '[path-7] a constraint of a registered ID on a registered ID',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({ nc: nameConstraints([uriName('.acme.example'), registered], []) }),
        leaf: withExtensions({ san: san([uriName(URI), registered]) }),
      },
    ],
    [
      '[path-7] an excluded DNS name',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({ nc: nameConstraints([], [dns]) }),
        leaf: withExtensions({ san: san([uriName(URI), dns]) }),
      },
    ],
    [
      '[path-7] a DNS name of the CA that the anchor does not permit',
      'ERR_PATH_INVALID',
      {
        root: withExtensions({ nc: nameConstraints([dns], []) }),
        ca: withExtensions({ san: san([der(0x82, utf8('acme.test'))]) }),
      },
    ],
    [
      '[path-7] a constraint with a minimum',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({
          nc: ext(
            '2.5.29.30',
            der(
              0x30,
              der(0xa0, derSequence(uriName('.acme.example'), derImplicit(0, fromHex('01')))),
            ),
            true,
          ),
        }),
      },
    ],
    [
      '[path-7] an empty constraint',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ nc: nameConstraints([uriName('.acme.example')], [uriName('')]) }) },
    ],
    [
      '[path-7] a constraint that is a URI',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({
          nc: nameConstraints([], [uriName('keyferry://client.acme.example')]),
        }),
      },
    ],
    // [path-8]
    ['[path-8] no lists', 'ERR_CRL', { crls: [] }],
    ['[path-8] a malformed list', 'ERR_CRL', { crls: [fromHex('3000')] }],
    [
      '[path-8] a list of the CA from the future',
      'ERR_CRL',
      { caCrl: { thisUpdate: der(0x18, utf8('20990101000000Z')) } },
    ],
    [
      '[path-8] a list of the CA past its next update',
      'ERR_CRL',
      { caCrl: { nextUpdate: der(0x17, utf8('200101000000Z')) } },
    ],
    [
      '[path-8] a list of the root past its next update',
      'ERR_CRL',
      { rootCrl: { nextUpdate: der(0x17, utf8('200101000000Z')) } },
    ],
    [
      '[path-8] a list without a number',
      'ERR_CRL',
      { caCrl: { extensions: { number: undefined } } },
    ],
    ['[path-8] a list of another issuer', 'ERR_CRL', { caCrl: { issuer: name('Other') } }],
    ['[path-8] a list of another key', 'ERR_CRL', { caCrl: { key: root.key } }],
    [
      '[path-8] a list of a CA without cRLSign',
      'ERR_CRL',
      { ca: withExtensions({ keyUsage: keyUsage(5) }) },
    ],
    [
      '[path-8] a revoked leaf',
      'ERR_CERT_REVOKED',
      { leaf: { serial: derInteger(77) }, caCrl: { entries: [entry(76), entry(77)] } },
    ],
    [
      '[path-8] a revoked CA',
      'ERR_CERT_REVOKED',
      { ca: { serial: derInteger(77) }, rootCrl: { entries: [entry(77)] } },
    ],
    // [path-9]
    ['[path-9] a leaf key of small order', 'ERR_WEAK_KEY', { leaf: { spki: weakSpki } }],
    ['[path-9] a CA key of small order', 'ERR_WEAK_KEY', { ca: { spki: weakSpki } }],
    ['[path-9] an anchor key of small order', 'ERR_WEAK_KEY', { root: { spki: weakSpki } }],
    [
      '[path-9] a leaf key of another algorithm',
      'ERR_CERT_PROFILE',
      { leaf: { spki: derSequence(derSequence(), derBits(new Uint8Array(32))) } },
    ],
  ]
  it.each(cases)('%s: %s', async (_, code, difference) => {
    expect(await errorCode(() => world.validate(difference))).toBe(code)
  })

  it('[path-2] signatures of another key', async () => {
    const other = await generateSigningKey('ES256', false)
    for (const difference of [
      { leaf: { key: other } },
      { ca: { key: other } },
      { root: { spki: other.spki } },
    ]) {
      expect(await errorCode(() => world.validate(difference))).toBe('ERR_PATH_INVALID')
    }
  })

  it('[path-2] a signature under the name of another algorithm', async () => {
    const input = await world.make({ leaf: { innerAlgorithm: algorithmIdentifier('Ed25519') } })
    const { tbs } = readSigned(input.certificates[0]!)
    const bits = derBits(await signBytes(ca.key, tbs))
    const wrong = derSequence(tbs, algorithmIdentifier('Ed25519'), bits)
    const certificates = input.certificates.with(0, wrong)
    expect(await errorCode(() => validatePath({ ...input, certificates }))).toBe('ERR_PATH_INVALID')
  })

  it('[path-4] a leaf issued by a leaf', async () => {
    const evil = {
      ...world.leaf,
      name: name('evil'),
      key: await generateSigningKey('ES256', false),
    }
    const input = await world.make()
    const forged = await makeCertificate(evil, leaf, {
      ...world.extensions.leaf,
      aki: aki(leaf.id),
    })
    const certificates = [forged, ...input.certificates]
    expect(await errorCode(() => validatePath({ ...input, certificates }))).toBe('ERR_PATH_INVALID')
  })

  it('[path-4] a CA below one of path length 0', async () => {
    const sub = { ...ca, name: name('Sub CA') }
    const plain = { ...world.extensions.ca, basic: basic(true), nc: undefined }
    const make = async (pathLength?: number): Promise<PathInput> => {
      const { certificates, ...input } = await world.make({
        root: withExtensions({ basic: basic(true) }),
        ca: withExtensions({ basic: basic(true, pathLength) }),
        leaf: { issuer: sub.name },
      })
      const between = await makeCertificate(
        sub,
        ca,
        { ...plain, aki: aki(ca.id) },
        { serial: derInteger(9) },
      )
      const crls = [await makeCrl(root), await makeCrl(ca), await makeCrl(sub)]
      return { ...input, certificates: [certificates[0]!, between, certificates[1]!], crls }
    }
    expect(await errorCode(async () => validatePath(await make()))).toBe('ok')
    expect(await errorCode(async () => validatePath(await make(1)))).toBe('ok')
    expect(await errorCode(async () => validatePath(await make(0)))).toBe('ERR_PATH_INVALID')
  })

  it('[path-2] more certificates than four, before parsing any', async () => {
    const count = (length: number, maxIntermediates?: number): Promise<string> => {
      const certificates = Array.from({ length }, () => fromHex('00'))
      const limit = maxIntermediates === undefined ? {} : { maxIntermediates }
      return errorCode(() => world.validate({ input: { certificates, ...limit } }))
    }
    expect(await count(4)).toBe('ERR_MALFORMED')
    expect(await count(5)).toBe('ERR_PATH_INVALID')
    expect(await count(1, 0)).toBe('ERR_MALFORMED')
    expect(await count(2, 0)).toBe('ERR_PATH_INVALID')
    expect(await count(9, 100)).toBe('ERR_MALFORMED')
    expect(await count(10, 100)).toBe('ERR_PATH_INVALID')
    expect(await count(1, Number.NaN)).toBe('ERR_PATH_INVALID')
  })

  it('[path-2] a certificate twice, the anchor in the path, an anchor as leaf', async () => {
    const free = { root: withExtensions({ basic: basic(true) }) }
    const input = await world.make(free)
    expect(await errorCode(() => validatePath(input))).toBe('ok')
    const withAnchor = [...input.certificates, ...input.anchors]
    expect(await errorCode(() => validatePath({ ...input, certificates: withAnchor }))).toBe(
      'ERR_PATH_INVALID',
    )
    const anchors = [...input.anchors, input.certificates[0]!]
    expect(await errorCode(() => validatePath({ ...input, anchors }))).toBe('ERR_PATH_INVALID')
    // The CA, self-issued and self-signed, twice in a row.
    const own = await makeCertificate(ca, ca, {
      ...world.extensions.ca,
      basic: basic(true),
      aki: aki(ca.id),
    })
    const pinned = await makeCertificate(ca, ca, { ...world.extensions.ca, basic: basic(true) })
    const base = { ...input, anchors: [pinned] }
    const once = [input.certificates[0]!, own]
    expect(await errorCode(() => validatePath({ ...base, certificates: once }))).toBe('ok')
    const twice = [...once, own]
    expect(await errorCode(() => validatePath({ ...base, certificates: twice }))).toBe(
      'ERR_PATH_INVALID',
    )
  })

  it('[path-8] more signatures than 64', async () => {
    const other = await generateSigningKey('ES256', false)
    const bad = await makeCrl(ca, { key: other })
    const rootCrl = await makeCrl(root)
    const validate = async (count: number): Promise<string> => {
      const crls = [rootCrl, ...Array.from({ length: count }, () => bad), await makeCrl(ca)]
      return errorCode(() => world.validate({ crls }))
    }
    // Two certificates, one list each, and the bad ones.
    expect(await validate(60)).toBe('ok')
    expect(await validate(61)).toBe('ERR_PATH_INVALID')
  })

  it('[path-2] more signatures than 64 of anchors of one name', async () => {
    const { anchors, ...input } = await world.make()
    const other = await generateSigningKey('ES256', false)
    const bad = { ...root, key: other }
    const namesake = await makeCertificate(bad, bad, { ...world.extensions.root, ski: undefined })
    const validate = (count: number): Promise<string> => {
      const list = [...Array.from({ length: count }, () => namesake), ...anchors]
      return errorCode(() => validatePath({ ...input, anchors: list }))
    }
    expect(await validate(1)).toBe('ok')
    expect(await validate(63)).toBe('ERR_PATH_INVALID')
  })

  it('[path-7] more than 4,096 name comparisons', async () => {
    const validate = (count: number): Promise<string> => {
      const excluded = Array.from({ length: count }, () => uriName('x'))
      const uris = ['a', 'b', 'c'].map((host) => uriName(`keyferry://${host}.acme.example`))
      return errorCode(() =>
        world.validate({
          root: withExtensions({ nc: nameConstraints([], excluded) }),
          ca: withExtensions({ nc: undefined, san: san(uris) }),
        }),
      )
    }
    expect(await validate(1024)).toBe('ok')
    expect(await validate(1025)).toBe('ERR_PATH_INVALID')
  })
})

describe('accepts', () => {
  const cases: [string, Difference][] = [
    ['bounds of validity', { leaf: { notBefore: NOW, notAfter: NOW } }],
    ['a fraction of the last second', { leaf: { notAfter: NOW }, input: { now: NOW + 0.9 } }],
    [
      'no key identifiers',
      { leaf: withExtensions({ aki: undefined }), ca: withExtensions({ ski: undefined }) },
    ],
    ['a CA without EKU', { ca: withExtensions({ eku: undefined }) }],
    ['a CA of any EKU', { ca: withExtensions({ eku: eku(ANY) }) }],
    ['more EKUs than wanted', { leaf: withExtensions({ eku: eku(SERVER_AUTH, CLIENT_AUTH) }) }],
    ['no wanted EKU', { input: { eku: [] } }],
    ['a leaf without basicConstraints', { leaf: withExtensions({ basic: undefined }) }],
    ['other key usages of the leaf', { leaf: withExtensions({ keyUsage: keyUsage(0, 1, 4) }) }],
    [
      'an empty subject with a critical SAN',
      { leaf: { subject: derSequence(), extensions: { san: san([uriName(URI)], true) } } },
    ],
    ['SAN entries of other forms', { leaf: withExtensions({ san: san([dns, uriName(URI)]) }) }],
    [
      'an exact host constraint',
      { ca: withExtensions({ nc: nameConstraints([uriName('client.acme.example')], []) }) },
    ],
    [
      'one of two constraints',
      {
        ca: withExtensions({
          nc: nameConstraints([uriName('x.example'), uriName('.acme.example')], []),
        }),
      },
    ],
    [
      'another excluded host',
      {
        ca: withExtensions({
          nc: nameConstraints([], [uriName('deriver.acme.example'), uriName('acme.example')]),
        }),
      },
    ],
    [
      'a permitted host in other letters',
      { leaf: withExtensions({ san: san([uriName('keyferry://client.ACME.example/alice')]) }) },
    ],
    [
      'another serial in the lists',
      { caCrl: { entries: [entry(1)] }, rootCrl: { entries: [entry(2)] } },
    ],
    ['an anchor that another CA signed', { root: { issuer: name('Older root'), key: leaf.key } }],
  ]
  it.each(cases)('%s', async (_, difference) => {
    expect(await errorCode(() => world.validate(difference))).toBe('ok')
  })

  it('the right one of two anchors of one name', async () => {
    const { anchors, ...input } = await world.make()
    const bad = { ...root, key: await generateSigningKey('ES256', false) }
    const namesake = await makeCertificate(bad, bad, { ...world.extensions.root, ski: undefined })
    for (const list of [
      [namesake, ...anchors],
      [...anchors, namesake],
    ]) {
      expect(await errorCode(() => validatePath({ ...input, anchors: list }))).toBe('ok')
    }
  })

  it('a leaf right below the anchor', async () => {
    const { certificates, ...input } = await world.make()
    const anchors = [certificates[1]!]
    const path = await validatePath({ ...input, certificates: [certificates[0]!], anchors })
    expect(path.issuers).toHaveLength(1)
  })

  it('the highest of several usable lists, whatever stands beside it', async () => {
    const numbered = (number: number, entries: Bytes[] = []): Promise<Bytes> =>
      makeCrl(ca, {
        extensions: { number: crlNumber(number) },
        ...(entries.length > 0 ? { entries } : {}),
      })
    const rootCrl = await makeCrl(root)
    const forged = await makeCrl(ca, { extensions: { number: crlNumber(99) }, key: root.key })
    const serial = parseCertificate((await world.make()).certificates[0]!).serial
    const lists = [await numbered(3), await numbered(5), await numbered(4), forged, rootCrl]
    for (const crls of [lists, lists.toReversed()]) {
      expect((await world.validate({ crls })).issuers[0]?.crlNumber).toBe(5)
    }
    const same = [await numbered(5, [entry(1)]), await numbered(5), rootCrl]
    const path = await world.validate({ crls: same })
    expect(path.issuers[0]?.crlHash).toEqual(await certificateFingerprint(same[0]!))
    const revoking = [await numbered(3), await numbered(6, [entry(serial)]), rootCrl]
    expect(await errorCode(() => world.validate({ crls: revoking }))).toBe('ERR_CERT_REVOKED')
  })

  it('lists that are parsed already', async () => {
    const input = await world.make()
    const crls = (input.crls as Bytes[]).map((bytes) => parseCrl(bytes))
    expect((await validatePath({ ...input, crls })).issuers).toHaveLength(2)
  })

  it('no lists, only when told so by its name', async () => {
    const path = await world.validate({ crls: 'unsafe-without-revocation' })
    expect(path.issuers).toEqual([])
  })
})

it('arbitrary bytes give a KeyferryError', async () => {
  const input = await world.make()
  const noise = fc.uint8Array({ maxLength: 100 }).map((array) => Uint8Array.from(array))
  await fc.assert(
    fc.asyncProperty(
      noise,
      fc.constantFrom('leaf', 'ca', 'anchor', 'crl'),
      async (bytes, where) => {
        const bad = {
          leaf: { certificates: [bytes, input.certificates[1]!] },
          ca: { certificates: [input.certificates[0]!, bytes] },
          anchor: { anchors: [bytes] },
          crl: { crls: [bytes] },
        }[where]
        expect(await errorCode(() => validatePath({ ...input, ...bad }))).not.toBe('ok')
      },
    ),
  )
})

describe('readUriHost [path-6]', () => {
  it.each([
    ['keyferry://client.acme.example/alice', 'client.acme.example'],
    ['spiffe://Acme.Example', 'acme.example'],
    ['keyferry://acme.example:8443/a@b/%c3%81;v=1', 'acme.example'],
    ['x+y.z-1://a_b/', 'a_b'],
    ['https://10.example.4a/', '10.example.4a'],
  ])('reads %s', (uri, host) => {
    expect(readUriHost(uri)).toBe(host)
  })

  it.each([
    '',
    'client.acme.example/alice',
    'urn:acme:alice',
    'keyferry:/client.acme.example/alice',
    'keyferry:///alice',
    'keyferry://user@client.acme.example/alice',
    'keyferry://client.acme.example@evil.example/alice',
    'keyferry://client.acme.example/alice?x',
    'keyferry://client.acme.example/alice#x',
    'keyferry://client.acme.example?x',
    'keyferry://client.acme.example#x',
    'keyferry://client.acme.example./alice',
    'keyferry://.acme.example/alice',
    'keyferry://client..acme.example/alice',
    'keyferry://10.0.0.1/alice',
    'keyferry://1/alice',
    'keyferry://[::1]/alice',
    'keyferry://client.acme%2eexample/alice',
    'keyferry://client.acme.example/al ice',
    'keyferry://client.acme.example/al%2',
    'keyferry://client.acme.example/al\\ice',
    'keyferry://client.acme.example/alice\n',
    'keyferry://client.acme.example:/alice',
    'keyferry://client.acme.example:x/alice',
    '1://client.acme.example/alice',
  ])('refuses %j', async (uri) => {
    expect(await errorCode(() => readUriHost(uri))).toBe('ERR_CERT_PROFILE')
  })
})

describe('matchesSanRule', () => {
  const rule = 'keyferry://client.acme.example/*'
  it.each([
    [rule, 'keyferry://client.acme.example/alice', true],
    [rule, 'keyferry://client.acme.example/a/b', true],
    [rule, 'keyferry://client.acme.example/*', true],
    [rule, 'keyferry://client.acme.example/', false],
    [rule, 'keyferry://client.acme.example', false],
    [rule, 'keyferry://CLIENT.acme.example/alice', false],
    [rule, 'keyferry://client.acme.example.evil.example/alice', false],
    [rule, 'xkeyferry://client.acme.example/alice', false],
    ['keyferry://h/alice', 'keyferry://h/alice', true],
    ['keyferry://h/alice', 'keyferry://h/alice2', false],
    ['keyferry://h/al*', 'keyferry://h/alice', false],
    ['keyferry://h/al*', 'keyferry://h/al*', true],
    ['*', 'keyferry://h/alice', false],
  ])('%s and %s: %s', (pattern, uri, verdict) => {
    expect(matchesSanRule(uri, pattern)).toBe(verdict)
  })
})

describe.each(['p256', 'ed25519'] as const)('a CA of openssl, %s', async (algorithm) => {
  const openssl = await makeOpensslCa(algorithm)
  afterAll(openssl.remove)
  const check = async (leafName: string, more: Partial<PathInput> = {}): Promise<string> => {
    const { certificates } = await openssl.leaf(leafName)
    const now = Date.now() / 1000
    const input = {
      certificates,
      anchors: [openssl.root],
      now,
      eku: [CLIENT_AUTH],
      crls: openssl.crls,
    }
    return errorCode(() => validatePath({ ...input, ...more }))
  }

  it.each([
    ['deriver-1', 'ok'],
    ['alice', 'ok'],
    ['bob', 'ok'],
    ['mallory', 'ERR_CERT_REVOKED'],
    ['eve', 'ERR_CERT_EXPIRED'],
  ])('%s: %s, as openssl says', async (leafName, code) => {
    expect(await check(leafName)).toBe(code)
    const { certificates } = await openssl.leaf(leafName)
    const verdict = await openssl.verify(certificates, openssl.root, openssl.crls)
    expect(verdict.includes(': OK')).toBe(code === 'ok')
  })

  it('needs each list', async () => {
    for (const crls of [[], openssl.crls.slice(0, 1), openssl.crls.slice(1)]) {
      expect(await check('alice', { crls })).toBe('ERR_CRL')
    }
    expect(await check('alice', { now: Date.now() / 1000 + 8 * DAY })).toBe('ERR_CRL')
  })

  it('does without the root when the issuing CA is pinned', async () => {
    const { certificates } = await openssl.leaf('alice')
    const pinned = { certificates: certificates.slice(0, 1), anchors: [openssl.issuing] }
    expect(await check('alice', pinned)).toBe('ok')
    expect(await check('alice', { anchors: [openssl.issuing] })).toBe('ERR_PATH_INVALID')
  })
})
