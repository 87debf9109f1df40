/** Paths that differ from a valid one in one point, with what has to come of it: for the tests, and for docs/vectors/path.json. */
import { type Bytes, fromHex, utf8 } from '../../shared/bytes.ts'
import {
  der,
  derBits,
  derBoolean,
  derExplicit,
  derImplicit,
  derInteger,
  derOid,
  derSequence,
} from '../../shared/der.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import {
  aki,
  basic,
  CLIENT_AUTH,
  type Difference,
  eku,
  entry,
  ext,
  type Extensions,
  keyUsage,
  name,
  nameConstraints,
  NOW,
  type Odd,
  san,
  ski,
  URI,
  uriName,
  type World,
} from './odd-certificates.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY = '2.5.29.37.0'
const withExtensions = (extensions: Extensions): Odd => ({ extensions })
const dns = der(0x82, utf8('acme.example'))
const registered = der(0x88, fromHex('2a03'))
const ECDSA_SHA1 = fromHex('300906072a8648ce3d0401')
const RSA_1024 = derSequence(
  derSequence(fromHex('06092a864886f70d0101010500')),
  derBits(derSequence(derInteger(new Uint8Array(128).fill(0xc1)), derInteger(65_537))),
)
const TRUE = fromHex('ff')
const idp = (...parts: readonly Bytes[]): Bytes => ext('2.5.29.28', derSequence(...parts), true)
const pointName = (full: Bytes): Bytes => der(0xa0, der(0xa0, full))
const points = (full: Bytes): Bytes => ext('2.5.29.31', derSequence(derSequence(pointName(full))))
const mailSubject = (address: string): Bytes =>
  derSequence(der(0x31, derSequence(derOid('1.2.840.113549.1.9.1'), der(0x16, utf8(address)))))
const x25519Spki = fromHex(`302a300506032b656e032100${'09'.padEnd(64, '0')}`)
const weakSpki = fromHex(`302a300506032b6570032100${'01'.padEnd(64, '0')}`)

/** [title, code, difference] of paths that are refused. */
export function refusedPaths({ root, ca, leaf }: World): [string, ErrorCode, Difference][] {
  return [
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
      { leaf: { innerAlgorithm: fromHex('300d06092a864886f70d01010b0500') } },
    ],
    [
      '[path-1] SHA-1 in an otherwise valid certificate',
      'ERR_CERT_PROFILE',
      { leaf: { innerAlgorithm: ECDSA_SHA1, outerAlgorithm: ECDSA_SHA1 } },
    ],
    ...(['2.5.29.33', '2.5.29.36', '2.5.29.54'] as const).map(
      (oid): [string, ErrorCode, Difference] => [
        `[path-1] an extension of policies, ${oid}, also where it is not critical`,
        'ERR_CERT_PROFILE',
        { ca: withExtensions({ a: ext(oid, derSequence()) }) },
      ],
    ),
    [
      '[path-1] critical certificate policies',
      'ERR_CERT_PROFILE',
      {
        leaf: withExtensions({
          a: ext('2.5.29.32', derSequence(derSequence(derOid('1.2.3'))), true),
        }),
      },
    ],
    ['[path-1] an RSA key of 1024 bits in the CA', 'ERR_CERT_PROFILE', { ca: { spki: RSA_1024 } }],
    ['[path-1] version 1', 'ERR_CERT_PROFILE', { leaf: { version: new Uint8Array(0) } }],
    [
      '[path-1] a serial of 21 octets',
      'ERR_CERT_PROFILE',
      { leaf: { serial: derInteger(new Uint8Array(21).fill(1)) } },
    ],
    ['[path-1] a serial of zero', 'ERR_CERT_PROFILE', { leaf: { serial: derInteger(0) } }],
    [
      '[path-1] an extension twice',
      'ERR_CERT_PROFILE',
      { leaf: withExtensions({ more: eku(CLIENT_AUTH) }) },
    ],
    [
      '[path-1] a written-out default',
      'ERR_MALFORMED',
      { leaf: withExtensions({ basic: ext('2.5.29.19', derSequence(derBoolean(false)), true) }) },
    ],
    // [path-2]
    ['[path-2] a leaf signed by another leaf', 'ERR_PATH_INVALID', { leaf: { key: leaf.key } }],
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
    ...(
      [
        ['mail address', der(0x81, utf8('kim@acme.test')), der(0x81, utf8('acme.example'))],
        ['host', der(0x82, utf8('acme.test')), dns],
        ['IP address', der(0x87, fromHex('0a020304')), der(0x87, fromHex('0a010000ffff0000'))],
        ['directory name', derExplicit(4, name('bob')), derExplicit(4, name('alice'))],
      ] as const
    ).map(([what, one, base]): [string, ErrorCode, Difference] => [
      `[path-7] a ${what} that is not permitted`,
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({ nc: nameConstraints([base], []) }),
        leaf: withExtensions({ san: san([uriName(URI), one]) }),
      },
    ]),
    [
      '[path-7] a subject that is not permitted',
      'ERR_PATH_INVALID',
      { ca: withExtensions({ nc: nameConstraints([derExplicit(4, name('bob'))], []) }) },
    ],
    [
      '[path-7] a mail address in the subject that is not permitted',
      'ERR_PATH_INVALID',
      {
        ca: withExtensions({ nc: nameConstraints([der(0x81, utf8('acme.example'))], []) }),
        leaf: { subject: mailSubject('kim@acme.test') },
      },
    ],
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
    [
      '[path-8] a delta list',
      'ERR_CRL',
      { caCrl: { extensions: { a: ext('2.5.29.27', derInteger(1), true) } } },
    ],
    ...(
      [
        ['of CAs only', [der(0x82, TRUE)]],
        ['of other CAs', [der(0x84, TRUE)]],
        ['of attribute certificates', [der(0x85, TRUE)]],
        ['of some reasons', [der(0x83, fromHex('0640'))]],
        [
          'of a distribution point that the leaf does not name',
          [pointName(uriName('http://acme.test/1'))],
        ],
        ['of a distribution point relative to the issuer', [der(0xa0, der(0xa1, fromHex('')))]],
        ['with a written-out default', [der(0x81, fromHex('00'))]],
        ['of nothing', []],
      ] as const
    ).map(([what, parts]): [string, ErrorCode, Difference] => [
      `[path-8] a list ${what}`,
      'ERR_CRL',
      { caCrl: { extensions: { idp: idp(...parts) } } },
    ]),
    [
      '[path-8] a list of end entities only, for a CA',
      'ERR_CRL',
      { rootCrl: { extensions: { idp: idp(der(0x81, TRUE)) } } },
    ],
    [
      '[path-8] a list of a distribution point that the leaf names in another form',
      'ERR_CRL',
      {
        caCrl: { extensions: { idp: idp(pointName(uriName('http://acme.example/1'))) } },
        leaf: withExtensions({ points: points(der(0x82, utf8('http://acme.example/1'))) }),
      },
    ],
    [
      '[path-8] a leaf whose lists another CA makes',
      'ERR_CRL',
      {
        leaf: withExtensions({
          points: ext(
            '2.5.29.31',
            derSequence(derSequence(der(0xa2, derExplicit(4, name('Other'))))),
          ),
        }),
      },
    ],
    [
      '[path-8] a critical entry extension',
      'ERR_CRL',
      { caCrl: { entries: [entry(1, ext('1.2.3', derSequence(), true))] } },
    ],
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
      { leaf: { spki: x25519Spki } },
    ],
  ]
}

/** [title, difference] of paths that are accepted. */
export function acceptedPaths({ leaf }: World): [string, Difference][] {
  return [
    [
      'a list of the distribution point that the leaf names',
      {
        caCrl: { extensions: { idp: idp(pointName(uriName('http://acme.example/1'))) } },
        leaf: withExtensions({ points: points(uriName('http://acme.example/1')) }),
      },
    ],
    [
      'lists for CAs and for end entities',
      {
        caCrl: { extensions: { idp: idp(der(0x81, TRUE)) } },
        rootCrl: { extensions: { idp: idp(der(0x82, TRUE)) } },
      },
    ],
    [
      'certificate policies that are not critical',
      { ca: withExtensions({ a: ext('2.5.29.32', derSequence(derSequence(derOid('1.2.3')))) }) },
    ],
    [
      'constraints of forms that no name here has',
      {
        ca: withExtensions({
          nc: nameConstraints([uriName('.acme.example'), dns, registered], [registered]),
        }),
      },
    ],
    [
      'a mail address in the subject beside a permitted one in the SAN',
      {
        ca: withExtensions({ nc: nameConstraints([der(0x81, utf8('acme.example'))], []) }),
        leaf: {
          subject: mailSubject('kim@acme.test'),
          extensions: { san: san([uriName(URI), der(0x81, utf8('kim@acme.example'))]) },
        },
      },
    ],
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
}
