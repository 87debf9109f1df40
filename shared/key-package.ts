/** Key packages and key requests: what a client signs (docs/PROTOCOL.md, "Key package and request"). */
import { equal, type Bytes } from './bytes.ts'
import { verifyByCertificate, type Envelope, type VerifiedByCertificate } from './envelope.ts'
import { relayError } from './relay-codes.ts'
import { KeyferryError } from './errors.ts'
import {
  MAX_KEYRINGS_PER_REQUEST,
  MAX_PACKAGE_LIFETIME,
  MAX_PACKAGE_STEP,
  MAX_REQUEST_LIFETIME,
} from './limits.ts'
import { bytes, int, list, object, oneOf, text, type Infer } from './schema.ts'
import { PUBLIC_KEY_LENGTH } from './suites.ts'
import { SUITES } from './trust.ts'
import { contextFor, type VerifyContext } from './verify-context.ts'

const packageSchema = object({
  expiresAt: int(),
  issuedAt: int(),
  key: bytes(32, 1_216),
  signer: bytes(32),
  suite: oneOf(...SUITES),
  tenant: text(52),
  version: int(1),
})

const requestSchema = object({
  expiresAt: int(),
  issuedAt: int(),
  keyrings: list(bytes(16), 1, MAX_KEYRINGS_PER_REQUEST),
  nonce: bytes(16),
  package: bytes(32),
  signer: bytes(32),
  tenant: text(52),
})

/** Body of a key package. */
export type KeyPackageBody = Infer<typeof packageSchema>
/** A verified key package; its `hash` is the package hash. */
export type KeyPackage = VerifiedByCertificate<KeyPackageBody>
/** Body of a key request. */
export type KeyRequestBody = Infer<typeof requestSchema>
/** A verified key request. */
export type KeyRequest = VerifiedByCertificate<KeyRequestBody>

/** Verifies a key package but for its version. Throws `ERR_SUITE`, `ERR_KEY_PACKAGE`, `ERR_KEY_PACKAGE_STALE` and envelope codes. */
export async function verifyKeyPackage(
  envelope: Envelope,
  context: VerifyContext,
): Promise<KeyPackage> {
  const { trust, now } = context
  // PROTOCOL [package-1]
  const verified = await verifyByCertificate(
    envelope,
    'package',
    packageSchema,
    contextFor('client', context),
  )
  const { suite, key, issuedAt, expiresAt } = verified.body
  // PROTOCOL [package-2]
  if (!trust.body.suites.includes(suite)) throw new KeyferryError('ERR_SUITE', `suite ${suite}`)
  if (key.length !== PUBLIC_KEY_LENGTH[suite])
    throw new KeyferryError('ERR_KEY_PACKAGE', 'key of another length')
  // PROTOCOL [package-3]
  if (issuedAt > now + trust.body.skew) throw new KeyferryError('ERR_FUTURE')
  if (now > expiresAt)
    throw new KeyferryError('ERR_KEY_PACKAGE_STALE', 'the key package is expired')
  if (expiresAt <= issuedAt || expiresAt - issuedAt > MAX_PACKAGE_LIFETIME) {
    throw new KeyferryError('ERR_LIFETIME', 'a key package lives at most 30 days')
  }
  return verified
}

/**
 * Checks the version of a key package against the last one accepted for the same certificate key, `null` for none.
 * Throws `ERR_KEY_PACKAGE_STALE` below it or beside it, `ERR_KEY_PACKAGE` too far above.
 */
export function requireRisingPackage(
  next: KeyPackage,
  last: { version: number; hash: Bytes } | null,
): void {
  // PROTOCOL [package-4]
  const floor = last?.version ?? 0
  const { version } = next.body
  if (version < floor || (version === last?.version && !equal(next.hash, last.hash))) {
    throw relayError('ERR_KEY_PACKAGE_STALE')
  }
  if (version > floor + MAX_PACKAGE_STEP)
    throw new KeyferryError('ERR_KEY_PACKAGE', 'version rises too far')
}

/** Verifies a key request for a verified package. Throws `ERR_KEY_PACKAGE`, `ERR_REQUEST_EXPIRED`, `ERR_FUTURE` and envelope codes. */
export async function verifyKeyRequest(
  envelope: Envelope,
  keyPackage: KeyPackage,
  context: VerifyContext,
): Promise<KeyRequest> {
  // PROTOCOL [request-1]
  const verified = await verifyByCertificate(
    envelope,
    'request',
    requestSchema,
    contextFor('client', context),
  )
  const { body } = verified
  if (!equal(body.signer, keyPackage.body.signer) || !equal(body.package, keyPackage.hash)) {
    throw new KeyferryError('ERR_KEY_PACKAGE', 'the request is for another key package')
  }
  // PROTOCOL [request-2]
  const { now, trust } = context
  if (body.issuedAt > now + trust.body.skew) throw new KeyferryError('ERR_FUTURE')
  if (
    now > body.expiresAt + trust.body.skew ||
    body.expiresAt - body.issuedAt > MAX_REQUEST_LIFETIME
  ) {
    throw relayError('ERR_REQUEST_EXPIRED')
  }
  return verified
}
