/**
 * Who may call (docs/PROTOCOL.md, "Admission"), in two questions that are not mixed. Did the holder of this certificate sign this call? That does
 * not depend on the tenant, and "no" is `ERR_UNAUTHORIZED`. Does the tenant admit the certificate for this call? "No" is `ERR_NOT_FOUND`, as for a
 * tenant that is not enrolled [relay-4].
 */
import { SUBPROTOCOL } from '../shared/api.ts'
import { type Bytes } from '../shared/bytes.ts'
import { verifyRole, type Role } from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { readCall, readTicket, verifyCall, type CallSignature } from '../shared/http-signature.ts'
import { type VerifiedPath } from '../shared/path.ts'
import { parseCertificate } from '../shared/x509.ts'
import { Recent } from './bounded.ts'
import { brake, type Call } from './call.ts'
import { chainKey, crlsOf, readStanding, type Standing } from './standing.ts'

/** An admitted caller. */
export interface Caller {
  role: Role
  path: VerifiedPath
  standing: Standing
}

/** The most that a trust document can allow; before it is known whose counts. Seconds. */
const MAX_SKEW = 300
const AS_THEY_ARE: readonly ErrorCode[] = ['ERR_QUOTA', 'ERR_NOT_FOUND']
/** Seconds that a verified path is remembered. */
const REMEMBER = 60
/** Paths per isolate. */
const PATHS = 4_096

const memo = new Recent<{ path: VerifiedPath; until: number }>(PATHS)

/** When a path that is valid now has to be looked at again: at the latest when a list is replaced. */
function validUntil(path: VerifiedPath, standing: Standing, now: number): number {
  const updates = standing.crls.map(({ nextUpdate }) => nextUpdate).filter((time) => time >= now)
  return Math.min(path.notAfter, now + REMEMBER, ...updates)
}

/** CRLs that came with the call, read only when the stored ones are too old. */
type MoreCrls = () => readonly Bytes[]

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
    return path
  } catch (error) {
    if (!isKeyferryError(error, 'ERR_CRL')) throw error
    // A deriver that comes back after the lists have run out brings new ones; path validation takes the highest that is usable.
    const newer = more()
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
  for (const role of roles) {
    try {
      return [role, await verifyPath(call, certificates, role, standing, more)]
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      cause = error
    }
  }
  // PROTOCOL [relay-4]
  throw new KeyferryError('ERR_NOT_FOUND', 'not admitted', { cause })
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

/** Who signed, whatever the tenant: nothing of the certificate but its key is looked at. Throws `ERR_UNAUTHORIZED` and decoding codes. */
async function verifyStranger(call: Call, signature: CallSignature): Promise<void> {
  const certificate = parseCertificate(signature.certificates[0] ?? new Uint8Array())
  const fingerprint = sha256(certificate.der)
  await verifyCall(signature, { fingerprint, spki: certificate.spki }, call.now, MAX_SKEW)
}

async function verifyCaller(
  call: Call,
  signature: CallSignature,
  roles: readonly Role[],
  more: MoreCrls,
): Promise<Caller> {
  const { certificates } = signature
  const standing = await readStanding(call)
  const known = (role: Role): VerifiedPath | undefined =>
    standing === null ? undefined : recall(call, certificates, role, standing)
  let role = roles.find((one) => known(one) !== undefined)
  let path = role === undefined ? undefined : known(role)
  if (path === undefined) {
    await brake(call)
    await verifyStranger(call, signature)
    if (standing === null) throw new KeyferryError('ERR_NOT_FOUND', 'not enrolled')
    ;[role, path] = await findPath(call, certificates, roles, standing, more)
  }
  // PROTOCOL [relay-2], [relay-3]
  await verifyCall(signature, path, call.now, standing!.trust.body.skew)
  return { role: role!, path, standing: standing! }
}

/** A ticket in `Sec-WebSocket-Protocol`: `keyferry.v1, <ticket>`. */
function ticketOf(call: Call): CallSignature {
  const header = call.request.headers.get('sec-websocket-protocol') ?? ''
  const [protocol, ticket, ...more] = header.split(',').map((item) => item.trim())
  if (protocol !== SUBPROTOCOL || ticket === undefined || more.length > 0) {
    throw new KeyferryError('ERR_UNAUTHORIZED', 'no ticket')
  }
  return readTicket(ticket, call.url)
}

/** The caller, if it has one of the roles. Throws `ERR_UNAUTHORIZED` and `ERR_QUOTA`. */
export async function admit(
  call: Call,
  roles: readonly Role[],
  options: { isTicket: boolean; more: MoreCrls },
): Promise<Caller> {
  try {
    const { request, url, body } = call
    const signature = options.isTicket
      ? ticketOf(call)
      : readCall({ method: request.method, url, body }, (name) => request.headers.get(name))
    return await verifyCaller(call, signature, roles, options.more)
  } catch (cause) {
    // Whatever is wrong with a signature is one error.
    if (!isKeyferryError(cause) || AS_THEY_ARE.includes(cause.code)) throw cause
    throw new KeyferryError('ERR_UNAUTHORIZED', cause.message, { cause })
  }
}
