/** Keys in a token: the master secret, which is made there and never comes out, and signing keys. */
import { createHash } from 'node:crypto'
import { concat, equal, fromHex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import {
  importVerifyKey,
  spkiPrefix,
  verifySignature,
  type RemoteSigningKey,
  type SignatureAlgorithm,
} from '../shared/signature.ts'
import { openToken, type Session, type Token } from './pkcs11.ts'
import { P11, type Attribute, type Handle } from './pkcs11-module.ts'
import { type Pkcs11Place } from './place.ts'
import { asRootError, type MacKey } from './root.ts'

const KINDS = {
  secret: P11.CKO_SECRET_KEY,
  private: P11.CKO_PRIVATE_KEY,
  public: P11.CKO_PUBLIC_KEY,
}

/** The one object of a class and label; `null` if there is none. Throws `ERR_ROOT_KEY` for several. */
function find(
  { module, session, found }: Session,
  kind: keyof typeof KINDS,
  label: string,
): Handle | null {
  const name = `${kind} ${label}`
  const known = found.get(name)
  if (known !== undefined) return known
  module.C_FindObjectsInit(session, [
    { type: P11.CKA_CLASS, value: KINDS[kind] },
    { type: P11.CKA_LABEL, value: label },
  ])
  let handles: Handle[]
  try {
    handles = module.C_FindObjects(session, 2)
  } finally {
    module.C_FindObjectsFinal(session)
  }
  if (handles.length > 1)
    throw new KeyferryError('ERR_ROOT_KEY', `the token has several keys with the label ${label}`, {
      hint: 'give one of them another label: pkcs11-tool --list-objects shows them',
    })
  if (handles[0] !== undefined) found.set(name, handles[0])
  return handles[0] ?? null
}

function need(session: Session, kind: keyof typeof KINDS, label: string): Handle {
  const handle = find(session, kind, label)
  if (handle === null)
    throw new KeyferryError(
      'ERR_ROOT_KEY',
      `the token has no ${kind} key ${JSON.stringify(label)}`,
      {
        hint: 'is it the right token? pkcs11-tool --login --list-objects shows its keys',
      },
    )
  return handle
}

function read({ module, session }: Session, handle: Handle, types: number[]): Buffer[] {
  return module
    .C_GetAttributeValue(
      session,
      handle,
      types.map((type) => ({ type })),
    )
    .map((one) => one.value)
}

/** Attributes of a key that stays inside for good. */
function kept(label: string): Attribute[] {
  return [
    { type: P11.CKA_TOKEN, value: true },
    { type: P11.CKA_PRIVATE, value: true },
    { type: P11.CKA_SENSITIVE, value: true },
    { type: P11.CKA_EXTRACTABLE, value: false },
    { type: P11.CKA_SIGN, value: true },
    { type: P11.CKA_LABEL, value: label },
  ]
}

/** Throws `ERR_ROOT_KEY` unless the key was made in the token and never could leave it, and cannot be read now. */
function requireInside(session: Session, handle: Handle, label: string): void {
  const wanted = [
    P11.CKA_SENSITIVE,
    P11.CKA_ALWAYS_SENSITIVE,
    P11.CKA_NEVER_EXTRACTABLE,
    P11.CKA_LOCAL,
  ]
  const values = read(session, handle, [...wanted, P11.CKA_EXTRACTABLE])
  const isInside = values.every((value, i) => value[0] === (i < wanted.length ? 1 : 0))
  let isReadable = true
  try {
    read(session, handle, [P11.CKA_VALUE])
  } catch {
    isReadable = false
  }
  if (!isInside || isReadable)
    throw new KeyferryError(
      'ERR_ROOT_KEY',
      `the key ${label} was not made in the token, or can leave it`,
      {
        hint: 'name a label that the token does not have yet: a key is made under it',
      },
    )
}

/** Makes the master secret in its token: 32 bytes that nobody ever sees. Throws `ERR_EXISTS`, `ERR_ROOT_FULL`. */
export async function makeMaster(place: Pkcs11Place, directory: string): Promise<void> {
  const token = await openToken(place, directory)
  await token.use((session) => {
    if (find(session, 'secret', place.object) !== null)
      throw new KeyferryError('ERR_EXISTS', `the token has a key ${place.object} already`, {
        hint: 'name another object in the place, or use the one that is there: keyferry root add',
      })
    session.module.C_GenerateKey(session.session, { mechanism: P11.CKM_GENERIC_SECRET_KEY_GEN }, [
      { type: P11.CKA_CLASS, value: P11.CKO_SECRET_KEY },
      { type: P11.CKA_KEY_TYPE, value: P11.CKK_GENERIC_SECRET },
      { type: P11.CKA_VALUE_LEN, value: 32 },
      { type: P11.CKA_VERIFY, value: false },
      ...kept(place.object),
    ])
  })
}

async function sign(
  session: Session,
  key: Handle,
  mechanism: number,
  data: Uint8Array,
  length: number,
): Promise<Bytes> {
  const { module, session: handle } = session
  module.C_SignInit(handle, { mechanism }, key)
  return new Uint8Array(await module.C_SignAsync(handle, Buffer.from(data), Buffer.alloc(length)))
}

/** The master secret of a place. Throws `ERR_ROOT_KEY` for one that could be read, and what a token throws. */
export async function pkcs11Key(place: Pkcs11Place, directory: string): Promise<MacKey> {
  const token = await openToken(place, directory)
  await token.use((session) => {
    requireInside(session, need(session, 'secret', place.object), place.object)
  })
  return {
    mac: (input) =>
      token.use((session) =>
        sign(session, need(session, 'secret', place.object), P11.CKM_SHA256_HMAC, input, 32),
      ),
  }
}

/** DER of the named curves, and of the name that some modules want for Ed25519 in place of its OID. */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const ED25519 = Buffer.from('06032b6570', 'hex')

/** Whether a token signs with Ed25519. */
export async function hasEd25519(place: Pkcs11Place, directory: string): Promise<boolean> {
  const token = await openToken(place, directory)
  return token.use(({ module, slot }) => {
    const mechanisms = module.C_GetMechanismList(slot)
    return (
      mechanisms.includes(P11.CKM_EDDSA) && mechanisms.includes(P11.CKM_EC_EDWARDS_KEY_PAIR_GEN)
    )
  })
}

/** Makes a signing key in a token. Throws `ERR_EXISTS`, `ERR_ROOT_FULL`. */
export async function makeSigningKey(
  place: Pkcs11Place,
  alg: SignatureAlgorithm,
  directory: string,
): Promise<RemoteSigningKey> {
  const token = await openToken(place, directory)
  const isEd = alg === 'Ed25519'
  await token.use((session) => {
    if (find(session, 'private', place.object) !== null)
      throw new KeyferryError('ERR_EXISTS', `the token has a key ${place.object} already`)
    session.module.C_GenerateKeyPair(
      session.session,
      { mechanism: isEd ? P11.CKM_EC_EDWARDS_KEY_PAIR_GEN : P11.CKM_EC_KEY_PAIR_GEN },
      [
        { type: P11.CKA_CLASS, value: P11.CKO_PUBLIC_KEY },
        { type: P11.CKA_TOKEN, value: true },
        { type: P11.CKA_VERIFY, value: true },
        { type: P11.CKA_EC_PARAMS, value: isEd ? ED25519 : P256 },
        { type: P11.CKA_LABEL, value: place.object },
      ],
      [{ type: P11.CKA_CLASS, value: P11.CKO_PRIVATE_KEY }, ...kept(place.object)],
    )
  })
  return pkcs11SigningKey(place, directory)
}

/** The point of a public key: some modules wrap it into an OCTET STRING, as the standard says, some do not. */
function pointOf(value: Uint8Array, length: number): Bytes | null {
  const point =
    value.length === length + 2 && value[0] === 4 && value[1] === length ? value.subarray(2) : value
  return point.length === length ? new Uint8Array(point) : null
}

function spkiOf(point: Uint8Array): { alg: SignatureAlgorithm; spki: Bytes } {
  for (const [alg, length] of [
    ['Ed25519', 32],
    ['ES256', 65],
  ] as const) {
    const bytes = pointOf(point, length)
    if (bytes === null) continue
    const { prefix } = spkiPrefix(alg)
    // The prefix of P-256 ends with the 04 of an uncompressed point.
    const isFit = alg === 'Ed25519' || equal(bytes.subarray(0, 1), fromHex('04'))
    if (isFit) return { alg, spki: concat(prefix, alg === 'Ed25519' ? bytes : bytes.slice(1)) }
  }
  throw new KeyferryError(
    'ERR_ROOT_KEY',
    'the signing key in the token is neither Ed25519 nor P-256',
  )
}

async function signWith(
  token: Token,
  label: string,
  alg: SignatureAlgorithm,
  data: Bytes,
): Promise<Bytes> {
  const mechanism = alg === 'Ed25519' ? P11.CKM_EDDSA : P11.CKM_ECDSA
  const input =
    alg === 'Ed25519' ? data : new Uint8Array(createHash('sha256').update(data).digest())
  try {
    return await token.use((session) =>
      sign(session, need(session, 'private', label), mechanism, input, 64),
    )
  } catch (cause) {
    // Also a PIN that is gone: nothing is wrong with what was to be signed, and it waits.
    throw asRootError(cause)
  }
}

/** A signing key in a token. Throws `ERR_ROOT_KEY`, `ERR_WEAK_KEY` and what a token throws; when it signs, too. */
export async function pkcs11SigningKey(
  place: Pkcs11Place,
  directory: string,
): Promise<RemoteSigningKey> {
  const token = await openToken(place, directory)
  const { alg, spki } = await token.use((session) => {
    const [isExtractable] = read(session, need(session, 'private', place.object), [
      P11.CKA_EXTRACTABLE,
    ])
    if (isExtractable![0] !== 0)
      throw new KeyferryError('ERR_ROOT_KEY', `the signing key ${place.object} can leave the token`)
    const [point] = read(session, need(session, 'public', place.object), [P11.CKA_EC_POINT])
    return spkiOf(point!)
  })
  const key = await importVerifyKey(spki)
  return {
    alg,
    spki,
    async sign(data) {
      const signature = await signWith(token, place.object, alg, data)
      // Stored and shown to clients, it would be refused by all of them.
      if (!(await verifySignature(key, signature, data)))
        throw new KeyferryError(
          'ERR_ROOT_KEY',
          `the token signs as ${place.object} with another key now, or wrongly`,
        )
      return signature
    },
  }
}
