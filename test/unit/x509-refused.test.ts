// Certificates that are refused as they are read, each for one thing.
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, utf8 } from '../../shared/bytes.ts'
import {
  der,
  derBits,
  derBoolean,
  derExplicit,
  derImplicit,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derTime,
} from '../../shared/der.ts'
import { parseCertificate } from '../../shared/x509.ts'
import {
  basic,
  DAY,
  errorCode,
  ext,
  type Extensions,
  makeCertificate,
  makeWorld,
  nameConstraints,
  NOW,
  type Odd,
  san,
  URI,
  uriName,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('ES256')
const { ca, leaf } = world
const ECDSA_SHA1 = fromHex('300906072a8648ce3d0401')
const RSA_SHA1 = fromHex('300d06092a864886f70d0101050500')

function make(odd: Odd = {}): Promise<Bytes> {
  return makeCertificate(leaf, ca, world.extensions.leaf, odd)
}

const withExtensions = (extensions: Extensions): Odd => ({ extensions })

describe('parseCertificate [path-1]', () => {
  const refused: [string, string, Odd][] = [
    ['version 1', 'ERR_CERT_PROFILE', { version: new Uint8Array(0) }],
    ['version 1 written out', 'ERR_CERT_PROFILE', { version: derExplicit(0, derInteger(0)) }],
    ['version 2', 'ERR_CERT_PROFILE', { version: derExplicit(0, derInteger(1)) }],
    ['version 4', 'ERR_CERT_PROFILE', { version: derExplicit(0, derInteger(3)) }],
    ['no extensions', 'ERR_CERT_PROFILE', { extensionField: new Uint8Array(0) }],
    ['empty extensions', 'ERR_MALFORMED', { extensionField: derExplicit(3, derSequence()) }],
    [
      'a field after the extensions',
      'ERR_MALFORMED',
      {
        extensionField: concat(derExplicit(3, derSequence(basic(false))), derInteger(1)),
      },
    ],
    [
      'a unique identifier',
      'ERR_CERT_PROFILE',
      {
        extensionField: concat(
          derImplicit(1, fromHex('00aa')),
          derExplicit(3, derSequence(basic(false))),
        ),
      },
    ],
    ['serial 0', 'ERR_CERT_PROFILE', { serial: derInteger(0) }],
    ['a negative serial', 'ERR_CERT_PROFILE', { serial: der(0x02, fromHex('80')) }],
    [
      'a serial of 21 octets',
      'ERR_CERT_PROFILE',
      { serial: derInteger(new Uint8Array(21).fill(1)) },
    ],
    ['a padded serial', 'ERR_MALFORMED', { serial: der(0x02, fromHex('0001')) }],
    ['another outer algorithm', 'ERR_CERT_PROFILE', { outerAlgorithm: fromHex('300506032b6570') }],
    ['another inner algorithm', 'ERR_CERT_PROFILE', { innerAlgorithm: fromHex('300506032b6570') }],
    ['SHA-1', 'ERR_CERT_PROFILE', { innerAlgorithm: ECDSA_SHA1, outerAlgorithm: ECDSA_SHA1 }],
    ['RSA with SHA-1', 'ERR_CERT_PROFILE', { innerAlgorithm: RSA_SHA1, outerAlgorithm: RSA_SHA1 }],
    [
      'no such date',
      'ERR_MALFORMED',
      {
        validity: derSequence(der(0x17, utf8('230230000000Z')), derTime(NOW + DAY)),
      },
    ],
    ['one date', 'ERR_MALFORMED', { validity: derSequence(derTime(NOW)) }],
    ['three dates', 'ERR_MALFORMED', { validity: derSequence(derTime(1), derTime(2), derTime(3)) }],
    ['an empty SET in a name', 'ERR_MALFORMED', { subject: derSequence(der(0x31)) }],
    [
      'an attribute without a value',
      'ERR_MALFORMED',
      {
        issuer: derSequence(der(0x31, derSequence(derOid('2.5.4.3')))),
      },
    ],
    [
      'an attribute with two values',
      'ERR_MALFORMED',
      {
        issuer: derSequence(
          der(0x31, derSequence(derOid('2.5.4.3'), derInteger(1), derInteger(2))),
        ),
      },
    ],
    ['a key without bits', 'ERR_MALFORMED', { spki: derSequence(derSequence()) }],
    [
      'something after the key bits',
      'ERR_MALFORMED',
      {
        spki: derSequence(derSequence(), derBits(new Uint8Array(1)), derInteger(1)),
      },
    ],
    [
      'an extension twice',
      'ERR_CERT_PROFILE',
      withExtensions({ more: ext('2.5.29.17', derSequence(uriName(URI))) }),
    ],
    [
      'an unknown extension twice',
      'ERR_CERT_PROFILE',
      withExtensions({
        a: ext('1.2.3.4', derSequence()),
        b: ext('1.2.3.4', derSequence()),
      }),
    ],
    [
      'an unknown critical extension',
      'ERR_CERT_PROFILE',
      withExtensions({ a: ext('1.2.3.4', derSequence(), true) }),
    ],
    [
      'critical certificate policies',
      'ERR_CERT_PROFILE',
      withExtensions({ a: ext('2.5.29.32', derSequence(), true) }),
    ],
    ['policy mappings', 'ERR_CERT_PROFILE', withExtensions({ a: ext('2.5.29.33', derSequence()) })],
    [
      'policy constraints',
      'ERR_CERT_PROFILE',
      withExtensions({ a: ext('2.5.29.36', derSequence()) }),
    ],
    [
      'inhibitAnyPolicy',
      'ERR_CERT_PROFILE',
      withExtensions({ a: ext('2.5.29.54', derInteger(0)) }),
    ],
    [
      'a critical SKI',
      'ERR_CERT_PROFILE',
      withExtensions({ ski: ext('2.5.29.14', derOctets(fromHex('aa')), true) }),
    ],
    [
      'a critical AKI',
      'ERR_CERT_PROFILE',
      withExtensions({
        aki: ext('2.5.29.35', derSequence(derImplicit(0, ca.id)), true),
      }),
    ],
    [
      'critical FALSE written out',
      'ERR_MALFORMED',
      withExtensions({
        a: derSequence(derOid('1.2.3.4'), derBoolean(false), derOctets(derSequence())),
      }),
    ],
    [
      'critical of another value',
      'ERR_MALFORMED',
      withExtensions({
        a: derSequence(derOid('1.2.3.4'), der(0x01, fromHex('01')), derOctets(derSequence())),
      }),
    ],
    [
      'an extension without a value',
      'ERR_MALFORMED',
      withExtensions({ a: derSequence(derOid('1.2.3.4')) }),
    ],
    [
      'an extension with more than a value',
      'ERR_MALFORMED',
      withExtensions({
        a: derSequence(derOid('1.2.3.4'), derOctets(derSequence()), derInteger(1)),
      }),
    ],
    [
      'cA FALSE written out',
      'ERR_MALFORMED',
      withExtensions({
        basic: ext('2.5.29.19', derSequence(derBoolean(false)), true),
      }),
    ],
    ['a path length without cA', 'ERR_CERT_PROFILE', withExtensions({ basic: basic(false, 0) })],
    [
      'a negative path length',
      'ERR_MALFORMED',
      withExtensions({
        basic: ext('2.5.29.19', derSequence(derBoolean(true), der(0x02, fromHex('ff'))), true),
      }),
    ],
    [
      'bytes after basicConstraints',
      'ERR_MALFORMED',
      withExtensions({
        basic: ext('2.5.29.19', concat(derSequence(), fromHex('00')), true),
      }),
    ],
    [
      'something after the path length',
      'ERR_MALFORMED',
      withExtensions({
        basic: ext('2.5.29.19', derSequence(derBoolean(true), derInteger(0), derInteger(0)), true),
      }),
    ],
    [
      'an empty key usage',
      'ERR_MALFORMED',
      withExtensions({ keyUsage: ext('2.5.29.15', fromHex('030100'), true) }),
    ],
    [
      'a padded key usage',
      'ERR_MALFORMED',
      withExtensions({ keyUsage: ext('2.5.29.15', fromHex('03020080'), true) }),
    ],
    ['an empty EKU', 'ERR_MALFORMED', withExtensions({ eku: ext('2.5.29.37', derSequence()) })],
    ['an empty SAN', 'ERR_MALFORMED', withExtensions({ san: san([]) })],
    [
      'a URI with the octet 0x80',
      'ERR_MALFORMED',
      withExtensions({ san: san([der(0x86, fromHex('61803a'))]) }),
    ],
    [
      'a URI that is not ASCII',
      'ERR_MALFORMED',
      withExtensions({ san: san([uriName('keyferry://h/á')]) }),
    ],
    [
      'a SAN entry of no known form',
      'ERR_MALFORMED',
      withExtensions({ san: san([der(0x89, fromHex('00'))]) }),
    ],
    ['empty name constraints', 'ERR_MALFORMED', withExtensions({ nc: nameConstraints([], []) })],
    [
      'empty subtrees',
      'ERR_MALFORMED',
      withExtensions({ nc: ext('2.5.29.30', derSequence(derExplicit(0))) }),
    ],
    [
      'name constraints of another tag',
      'ERR_MALFORMED',
      withExtensions({
        nc: ext('2.5.29.30', derSequence(derExplicit(2, derSequence(uriName('a'))))),
      }),
    ],
    [
      'an AKI serial without its issuer',
      'ERR_MALFORMED',
      withExtensions({
        aki: ext('2.5.29.35', derSequence(derImplicit(2, fromHex('01')))),
      }),
    ],
    [
      'an AKI issuer without its serial',
      'ERR_MALFORMED',
      withExtensions({
        aki: ext('2.5.29.35', derSequence(derExplicit(1, der(0x82, utf8('a'))))),
      }),
    ],
    [
      'an SKI that is no octet string',
      'ERR_MALFORMED',
      withExtensions({ ski: ext('2.5.29.14', derInteger(1)) }),
    ],
  ]
  it.each(refused)('refuses %s: %s', async (_, code, odd) => {
    const bytes = await make(odd)
    expect(await errorCode(() => parseCertificate(bytes))).toBe(code)
  })
})
