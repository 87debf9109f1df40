/**
 * Certificates and CRLs that no sane CA issues, and a small world of valid ones to make them differ from in one point:
 * root (anchor) → issuing CA → leaf `keyferry://client.acme.example/alice`, with a CRL of each CA.
 */
import { type Bytes, utf8 } from '../../shared/bytes.ts'
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
  derSet,
  derText,
  derTime,
} from '../../shared/der.ts'
import {
  algorithmIdentifier,
  ecdsaToDer,
  generateSigningKey,
  keyId,
  signBytes,
  type SignatureAlgorithm,
  type SigningKey,
} from '../../shared/signature.ts'
import { type ErrorCode, isKeyferryError } from '../../shared/errors.ts'
import { type PathInput, validatePath, type VerifiedPath } from '../../shared/path.ts'

export const NOW = 1_800_000_000
export const DAY = 86_400
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
export const URI = 'keyferry://client.acme.example/alice'

export function ext(oid: string, value: Bytes, isCritical = false): Bytes {
  return derSequence(derOid(oid), ...(isCritical ? [derBoolean(true)] : []), derOctets(value))
}

/** Named bits as a BIT STRING without padding. */
export function keyUsage(...bits: number[]): Bytes {
  const octets = new Uint8Array(Math.floor(Math.max(...bits) / 8) + 1)
  for (const bit of bits) octets[bit >> 3]! |= 0x80 >> (bit & 7)
  return ext('2.5.29.15', derBits(octets, 7 - (Math.max(...bits) & 7)), true)
}

export function basic(isCa: boolean, pathLength?: number): Bytes {
  const length = pathLength === undefined ? [] : [derInteger(pathLength)]
  return ext('2.5.29.19', derSequence(...(isCa ? [derBoolean(true)] : []), ...length), true)
}

export function eku(...oids: string[]): Bytes {
  return ext('2.5.29.37', derSequence(...oids.map(derOid)))
}

export function uriName(text: string): Bytes {
  return der(0x86, utf8(text))
}

export function san(names: readonly Bytes[], isCritical = false): Bytes {
  return ext('2.5.29.17', derSequence(...names), isCritical)
}

export function nameConstraints(permitted: readonly Bytes[], excluded: readonly Bytes[]): Bytes {
  const trees = (n: number, names: readonly Bytes[]): Bytes[] =>
    names.length > 0 ? [derExplicit(n, ...names.map((base) => derSequence(base)))] : []
  return ext('2.5.29.30', derSequence(...trees(0, permitted), ...trees(1, excluded)), true)
}

export function ski(id: Bytes): Bytes {
  return ext('2.5.29.14', derOctets(id))
}

export function aki(id: Bytes): Bytes {
  return ext('2.5.29.35', derSequence(derImplicit(0, id)))
}

export function name(commonName: string): Bytes {
  return derSequence(derSet(derSequence(derOid('2.5.4.3'), derText(commonName))))
}

/** Extensions by name; `undefined` leaves one out. */
export type Extensions = Record<string, Bytes | undefined>

/** Everything that a certificate or CRL can be told to have instead of what is right. */
export type Odd = {
  version?: Bytes
  serial?: Bytes
  innerAlgorithm?: Bytes
  outerAlgorithm?: Bytes
  issuer?: Bytes
  subject?: Bytes
  notBefore?: number
  notAfter?: number
  validity?: Bytes
  spki?: Bytes
  extensions?: Extensions
  /** Instead of the whole extensions field. */
  extensionField?: Bytes
  /** Signed by this key instead. */
  key?: OddKey
}

export type OddCrl = {
  version?: Bytes
  innerAlgorithm?: Bytes
  outerAlgorithm?: Bytes
  issuer?: Bytes
  thisUpdate?: Bytes
  nextUpdate?: Bytes
  entries?: readonly Bytes[]
  extensions?: Extensions
  extensionField?: Bytes
  key?: OddKey
}

/** A key of a kind that only CAs may have. */
export type CaKey = {
  readonly spki: Bytes
  readonly identifier: Bytes
  readonly sign: (tbs: Bytes) => Bytes
}
export type OddKey = SigningKey | CaKey

function identifierOf(key: OddKey): Bytes {
  return 'identifier' in key ? key.identifier : algorithmIdentifier(key.alg)
}

async function sign(key: OddKey, tbs: Bytes, algorithm?: Bytes): Promise<Bytes> {
  if ('identifier' in key) {
    return derSequence(tbs, algorithm ?? key.identifier, derBits(key.sign(tbs)))
  }
  const signature = await signBytes(key, tbs)
  const bits = key.alg === 'ES256' ? ecdsaToDer(signature) : signature
  return derSequence(tbs, algorithm ?? algorithmIdentifier(key.alg), derBits(bits))
}

function present(extensions: Extensions): Bytes[] {
  return Object.values(extensions).filter((value) => value !== undefined)
}

export type Member = { name: Bytes; key: OddKey; id: Bytes }

/** A certificate of `subject` issued by `issuer`, with these extensions unless told otherwise. */
export function makeCertificate(
  subject: Member,
  issuer: Member,
  extensions: Extensions,
  odd: Odd = {},
): Promise<Bytes> {
  const key = odd.key ?? issuer.key
  const times = [derTime(odd.notBefore ?? NOW - DAY), derTime(odd.notAfter ?? NOW + DAY)]
  const list = present({ ...extensions, ...odd.extensions })
  const tbs = derSequence(
    odd.version ?? derExplicit(0, derInteger(2)),
    odd.serial ?? derInteger(subject.id.slice(0, 16).fill(0x41, 0, 1)),
    odd.innerAlgorithm ?? identifierOf(key),
    odd.issuer ?? issuer.name,
    odd.validity ?? derSequence(...times),
    odd.subject ?? subject.name,
    odd.spki ?? subject.key.spki,
    odd.extensionField ?? derExplicit(3, derSequence(...list)),
  )
  return sign(key, tbs, odd.outerAlgorithm)
}

export function crlNumber(value: number): Bytes {
  return ext('2.5.29.20', derInteger(value))
}

/** A revokedCertificates entry; extensions, if any, as they are. */
export function entry(serial: Bytes | number, ...extensions: Bytes[]): Bytes {
  const more = extensions.length > 0 ? [derSequence(...extensions)] : []
  return derSequence(derInteger(serial), derTime(NOW - 60), ...more)
}

/** A CRL of `issuer` with number 1, current at NOW, unless told otherwise. */
export function makeCrl(issuer: Member, odd: OddCrl = {}): Promise<Bytes> {
  const key = odd.key ?? issuer.key
  const list = present({ aki: aki(issuer.id), number: crlNumber(1), ...odd.extensions })
  const tbs = derSequence(
    odd.version ?? derInteger(1),
    odd.innerAlgorithm ?? identifierOf(key),
    odd.issuer ?? issuer.name,
    odd.thisUpdate ?? derTime(NOW - DAY),
    odd.nextUpdate ?? derTime(NOW + DAY),
    ...(odd.entries ? [derSequence(...odd.entries)] : []),
    odd.extensionField ?? derExplicit(0, derSequence(...list)),
  )
  return sign(key, tbs, odd.outerAlgorithm)
}

async function makeMember(commonName: string, key: OddKey): Promise<Member> {
  return { name: name(commonName), key, id: (await keyId(key.spki)).slice(0, 20) }
}

/** How one path differs from the valid one. */
export type Difference = {
  root?: Odd
  ca?: Odd
  leaf?: Odd
  rootCrl?: OddCrl
  caCrl?: OddCrl
  /** Instead of the two lists. */
  crls?: PathInput['crls']
  input?: Partial<PathInput>
}

export type World = {
  root: Member
  ca: Member
  leaf: Member
  extensions: { root: Extensions; ca: Extensions; leaf: Extensions }
  make: (difference?: Difference) => Promise<PathInput>
  validate: (difference?: Difference) => Promise<VerifiedPath>
}

/** Keys of a world. */
export type WorldKeys = { root: OddKey; ca: OddKey; leaf: OddKey }

/** Keys and names of a world; every path made in it has the same ones. Keys are new unless they are given. */
export async function makeWorld(
  alg: SignatureAlgorithm,
  keys: Partial<WorldKeys> = {},
): Promise<World> {
  const own = async (key: OddKey | undefined): Promise<OddKey> =>
    key ?? (await generateSigningKey(alg, true))
  const root = await makeMember('Odd root', await own(keys.root))
  const ca = await makeMember('Odd issuing CA', await own(keys.ca))
  const leaf = await makeMember('alice', await own(keys.leaf))
  const extensions = {
    root: { basic: basic(true, 1), keyUsage: keyUsage(5, 6), ski: ski(root.id) },
    ca: {
      basic: basic(true, 0),
      keyUsage: keyUsage(5, 6),
      eku: eku(CLIENT_AUTH),
      nc: nameConstraints([uriName('.acme.example')], []),
      ski: ski(ca.id),
      aki: aki(root.id),
    },
    leaf: {
      basic: basic(false),
      keyUsage: keyUsage(0),
      eku: eku(CLIENT_AUTH),
      san: san([uriName(URI)]),
      ski: ski(leaf.id),
      aki: aki(ca.id),
    },
  }
  const make = async (difference: Difference = {}): Promise<PathInput> => ({
    certificates: [
      await makeCertificate(leaf, ca, extensions.leaf, difference.leaf),
      await makeCertificate(ca, root, extensions.ca, difference.ca),
    ],
    anchors: [await makeCertificate(root, root, extensions.root, difference.root)],
    now: NOW,
    eku: [CLIENT_AUTH],
    crls: difference.crls ?? [
      await makeCrl(root, difference.rootCrl),
      await makeCrl(ca, difference.caCrl),
    ],
    ...difference.input,
  })
  const validate = async (difference?: Difference): Promise<VerifiedPath> =>
    validatePath(await make(difference))
  return { root, ca, leaf, extensions, make, validate }
}

/** The code an action is refused with, or `'ok'`; whatever is thrown besides a KeyferryError is thrown on. */
export async function errorCode(action: () => unknown): Promise<ErrorCode | 'ok'> {
  try {
    await action()
    return 'ok'
  } catch (error) {
    if (isKeyferryError(error)) return error.code
    throw error
  }
}

/** Every proper prefix of the bytes. */
export function truncations(bytes: Bytes): Bytes[] {
  return Array.from(bytes, (_, length) => bytes.slice(0, length))
}

/** The bytes with each octet in turn changed by this mask. */
export function flips(bytes: Bytes, mask: number): Bytes[] {
  return Array.from(bytes, (octet, at) => bytes.with(at, octet ^ mask))
}
