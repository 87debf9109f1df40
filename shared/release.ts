/** Releases and heads: what is current, under the deriver's one signature (docs/PROTOCOL.md, "Release and head"). */
import { compare, equal, type Bytes } from './bytes.ts'
import {
  peekPayload,
  verifyByCertificate,
  type Envelope,
  type VerifiedByCertificate,
} from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { decodeJson } from './json.ts'
import { contextFor, type VerifyContext } from './verify-context.ts'
import { MAX_ENVELOPE, MAX_RELEASE } from './limits.ts'
import { compareVersions, requireRising } from './manifest.ts'
import {
  bytes,
  int,
  list,
  object,
  text,
  type Infer,
  type Schema,
  treeHeadSchema,
} from './schema.ts'
import type { TrustDocument } from './trust.ts'

const versionId = object({ incarnation: int(0, 0xffffffff), version: int(0, 0xffffffff) })

/** Fields of a release. */
export const releaseFields = {
  bundle: bytes(32),
  compromised: list(versionId, 0, 1_000),
  deactivated: list(versionId, 0, 1_000),
  encrypt: versionId,
  generation: int(1),
  incarnation: int(1, 0xffffffff),
  keyring: bytes(16),
  log: int(),
  manifest: bytes(32),
  members: treeHeadSchema,
  skipped: list(versionId, 0, 1_000),
  tenant: text(52),
} as const

const releaseSchema = object(releaseFields)

/** A decoded release. */
export type Release = Infer<typeof releaseSchema>

/** Checks that the log of the head that shows a release can have its entry. Throws `ERR_UNLOGGED`. */
export function requireLogged({ log }: Release, head: HeadBody): void {
  // PROTOCOL [log-3]
  if (log >= head.log.size)
    throw new KeyferryError('ERR_UNLOGGED', `entry ${log} of ${head.log.size}`)
}

/** Decodes a release. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_NOT_CANONICAL`, `ERR_SCHEMA`. */
export function decodeRelease(data: Bytes): Release {
  const release = releaseSchema(decodeJson(data, MAX_RELEASE), '')
  for (const name of ['compromised', 'deactivated', 'skipped'] as const) {
    requireRising(release[name], compareVersions, name)
  }
  return release
}

const headSchema: Schema<HeadBody> = object({
  catalog: object({ hash: bytes(32), number: int(1) }),
  crls: list(object({ hash: bytes(32), issuer: bytes(32), number: int() }), 0, 64),
  expiresAt: int(),
  incarnation: int(1, 0xffffffff),
  issuedAt: int(),
  log: object({ root: bytes(32), size: int() }),
  releases: treeHeadSchema,
  signer: bytes(32),
  tenant: text(52),
  trust: object({ hash: bytes(32), number: int(1) }),
  version: int(1),
})

/** Body of a head. Times are seconds; `crls` rise by issuer. */
export interface HeadBody {
  catalog: { hash: Bytes; number: number }
  crls: { hash: Bytes; issuer: Bytes; number: number }[]
  expiresAt: number
  incarnation: number
  issuedAt: number
  log: { root: Bytes; size: number }
  releases: { index: Bytes; root: Bytes; size: number }
  signer: Bytes
  tenant: string
  trust: { hash: Bytes; number: number }
  version: number
}

/** The body of a head that was verified before, such as the one that a client keeps. */
export function decodeHead({ payload }: Pick<Envelope, 'payload'>): HeadBody {
  return headSchema(decodeJson(payload, MAX_ENVELOPE), '')
}

/** A verified head. */
export type Head = VerifiedByCertificate<HeadBody>

/** What a verifier keeps of the last head it accepted. */
export interface LastHead {
  incarnation: number
  version: number
  hash: Bytes
  issuedAt: number
}

/** What a head says, unverified. Throws the codes of decoding, `ERR_PAYLOAD_TYPE`, `ERR_TENANT`. */
export function peekHead(envelope: Envelope, tenant: string): HeadBody {
  return headSchema(peekPayload(envelope, 'head', tenant), '')
}

/** Verifies a head's signer, role and form alone. */
export function verifyHeadSignature(envelope: Envelope, context: VerifyContext): Promise<Head> {
  return verifyByCertificate(envelope, 'head', headSchema, contextFor('deriver', context))
}

/** Verifies a head's signer, role, form, lifetime and time, but not its place after other heads. */
export async function verifyHead(envelope: Envelope, context: VerifyContext): Promise<Head> {
  // PROTOCOL [open-2]
  const verified = await verifyHeadSignature(envelope, context)
  const { body } = verified
  const trust = context.trust.body
  requireRising(body.crls, (a, b) => compare(a.issuer, b.issuer), 'crls')
  // PROTOCOL [open-3]
  const lifetime = body.expiresAt - body.issuedAt
  if (lifetime < 1 || lifetime > trust.headLifetime)
    throw new KeyferryError('ERR_LIFETIME', `a head of ${lifetime} s`)
  // PROTOCOL [open-4]
  if (body.issuedAt > context.now + trust.skew) throw new KeyferryError('ERR_FUTURE')
  return verified
}

/** Checks that a head stands under the newest trust document: [open-5], [open-6]. */
export function requireTrust(head: HeadBody, trust: TrustDocument): void {
  // PROTOCOL [open-5]
  if (head.trust.number < trust.body.number) {
    throw new KeyferryError(
      'ERR_ROLLBACK',
      `trust document ${head.trust.number} of ${trust.body.number}`,
    )
  }
  if (head.trust.number > trust.body.number)
    throw new KeyferryError('ERR_HASH', 'a trust document is missing')
  if (!equal(head.trust.hash, trust.hash))
    throw new KeyferryError('ERR_FORK', 'the head is under another trust document')
  // PROTOCOL [open-6]
  if (head.incarnation !== trust.body.incarnation) throw new KeyferryError('ERR_INCARNATION')
}

/** Checks a head against the last one accepted: [open-8], and the local clock: the second half of [open-4]. */
export function requireSuccession(
  head: Head,
  last: LastHead | null,
  now: number,
  skew: number,
): void {
  if (last === null) return
  // PROTOCOL [open-4]
  if (now + skew < last.issuedAt) throw new KeyferryError('ERR_CLOCK')
  // PROTOCOL [open-8]
  const { incarnation, version } = head.body
  const order = compareVersions({ incarnation, version }, last)
  if (order < 0) throw new KeyferryError('ERR_ROLLBACK', `head ${version} after ${last.version}`)
  if (order === 0 && !equal(head.hash, last.hash)) {
    throw new KeyferryError('ERR_FORK', `two different heads have version ${version}`)
  }
}
