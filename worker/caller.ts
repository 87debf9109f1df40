/**
 * Whom a tenant admits, by documents that are given: "no" is `ERR_NOT_FOUND`, as for a tenant that is not enrolled [relay-4]. Which documents count, and whether
 * the caller signed, admission.ts says.
 */
import { type Bytes } from '../shared/bytes.ts'
import { verifyRole, type Role } from '../shared/envelope.ts'
import { relayError } from '../shared/relay-codes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { requireTime, type CallSignature } from '../shared/http-signature.ts'
import { type VerifiedPath } from '../shared/path.ts'
import { type VerifyKey } from '../shared/signature.ts'
import { Recent } from './bounded.ts'
import { brake, type Call } from './call.ts'
import { refuseRevoked, rememberRevoked } from './revoked.ts'
import { chainKey, crlsOf, type Standing } from './standing.ts'

/** An admitted caller. */
export interface Caller {
  role: Role
  path: VerifiedPath
  standing: Standing
  /** DER, end-entity first. */
  certificates: Bytes[]
  /** What was signed. */
  signature: CallSignature
}

/** Seconds that a verified path is remembered. */
const REMEMBER = 60
/** Paths per isolate. */
const PATHS = 4_096

/** Who was admitted somewhere lately: is not braked, and its key is imported once. */
export const signers = new Recent<{ fingerprint: Bytes; key: VerifyKey }>(PATHS)
const memo = new Recent<{ path: VerifiedPath; until: number }>(PATHS)

/** When a path that is valid now has to be looked at again: at the latest when a list is replaced. */
function validUntil(path: VerifiedPath, standing: Standing, now: number): number {
  const updates = standing.crls.map(({ crl }) => crl.nextUpdate).filter((time) => time >= now)
  return Math.min(path.notAfter, now + REMEMBER, ...updates)
}

/** CRLs that came with the call, read only when the stored ones are too old. */
export type MoreCrls = () => Promise<readonly Bytes[]>

function memoKey(certificates: readonly Bytes[], role: Role, standing: Standing): string {
  return `${standing.tag} ${role} ${chainKey(certificates)}`
}

async function verifyPath(
  call: Call,
  certificates: readonly Bytes[],
  role: Role,
  standing: Standing,
  more: MoreCrls,
): Promise<VerifiedPath> {
  const { now } = call
  const context = { trust: standing.trust.body, role, now }
  const crls = crlsOf(standing)
  try {
    // PROTOCOL [relay-3]
    const path = await verifyRole(certificates, { ...context, crls })
    memo.set(memoKey(certificates, role, standing), {
      path,
      until: validUntil(path, standing, now),
    })
    signers.set(chainKey(certificates), { fingerprint: path.fingerprint, key: path.key })
    return path
  } catch (error) {
    if (!isKeyferryError(error, 'ERR_CRL')) throw error
    // A deriver that comes back after the lists have run out brings new ones; path validation takes the highest that is usable.
    const newer = await more()
    if (newer.length === 0) throw error
    return await verifyRole(certificates, { ...context, crls: [...crls, ...newer] })
  }
}

/** The path for the first of the roles that it is valid for. Throws `ERR_NOT_FOUND`. */
async function findPath(
  call: Call,
  certificates: readonly Bytes[],
  roles: readonly Role[],
  standing: Standing,
  more: MoreCrls,
): Promise<[Role, VerifiedPath]> {
  let cause: unknown
  let isRevoked = false
  for (const role of roles) {
    try {
      return [role, await verifyPath(call, certificates, role, standing, more)]
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      cause = error
      isRevoked ||= role === 'client' && error.code === 'ERR_CERT_REVOKED'
    }
  }
  if (isRevoked) {
    await rememberRevoked(call, certificates, roles, standing)
    refuseRevoked(call, certificates, roles, standing)
  }
  // PROTOCOL [relay-4]
  throw new KeyferryError('ERR_NOT_FOUND', undefined, { cause })
}

/** A path that was verified lately. */
function recall(
  call: Call,
  certificates: readonly Bytes[],
  role: Role,
  standing: Standing,
): VerifiedPath | undefined {
  const known = memo.get(memoKey(certificates, role, standing))
  return known !== undefined && call.now <= known.until ? known.path : undefined
}

/** A browser sends what a page posts without asking first: pages of other origins are refused here. Throws `ERR_NOT_FOUND`. */
function requireOrigin({ request }: Call, { trust }: Standing): void {
  const origin = request.method === 'POST' ? request.headers.get('origin') : null
  // PROTOCOL [relay-4]
  if (origin !== null && !trust.body.origins.includes(origin)) throw relayError('ERR_NOT_FOUND')
}

/** By these documents. Throws `ERR_UNAUTHORIZED`, `ERR_NOT_FOUND`, `ERR_QUOTA`. */
export async function admitBy(
  standing: Standing | null,
  call: Call,
  signature: CallSignature,
  roles: readonly Role[],
  more: MoreCrls = async () => [],
): Promise<Caller> {
  const { certificates } = signature
  if (standing === null) throw relayError('ERR_NOT_FOUND')
  requireOrigin(call, standing)
  // Only who is admitted learns by it what skew there is.
  const found = (role: Role, path: VerifiedPath): Caller => {
    requireTime(signature, call.now, standing.trust.body.skew)
    return { role, path, standing, certificates, signature }
  }
  for (const role of roles) {
    const path = recall(call, certificates, role, standing)
    if (path !== undefined) return found(role, path)
  }
  await brake(call)
  refuseRevoked(call, certificates, roles, standing)
  return found(...(await findPath(call, certificates, roles, standing, more)))
}
