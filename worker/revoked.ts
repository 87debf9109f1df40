/**
 * What a client is told whose certificate is revoked: the list that names it, which may be a megabyte, a few times a minute [relay-4]. The verdict costs two path
 * validations, and is remembered as one that admits is.
 */
import { equal, type Bytes } from '../shared/bytes.ts'
import { type Crl } from '../shared/crl.ts'
import { type Role } from '../shared/envelope.ts'
import { relayError } from '../shared/relay-codes.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { lowestCrl } from '../shared/numbered.ts'
import { findRevocation } from '../shared/revocation.ts'
import { parseCertificate } from '../shared/x509.ts'
import { Recent } from './bounded.ts'
import { type Call } from './call.ts'
import { RelayError } from './problem.ts'
import { chainKey, crlsOf, type Standing } from './standing.ts'

/** Verdicts per isolate. */
const VERDICTS = 4_096
/** Seconds that a verdict is remembered. */
const REMEMBER = 60
/** Answers with the list to one certificate in that time. */
const MAX_SHOWN = 4

/** By the hash of the list, so that nothing here holds on to one that was replaced. */
const verdicts = new Recent<{ list: Bytes; shown: number; until: number }>(VERDICTS)

function keyOf(certificates: readonly Bytes[], roles: readonly Role[], standing: Standing): string {
  return `${standing.tag} ${roles.join()} ${chainKey(certificates)}`
}

/** The list with which a client can prove its own revocation; undefined for whom the tenant would not admit without it. */
async function namingList(
  { now }: Call,
  certificates: readonly Bytes[],
  standing: Standing,
): Promise<Crl | undefined> {
  const { trust } = standing
  const lowest = (issuer: Bytes): number => lowestCrl(issuer, trust.body)
  try {
    return await findRevocation(certificates, crlsOf(standing), { trust: trust.body, now, lowest })
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return undefined
  }
}

/** Remembers the verdict on a path that has none of the roles, and of which validation said that it is revoked for a client. */
export async function rememberRevoked(
  call: Call,
  certificates: readonly Bytes[],
  roles: readonly Role[],
  standing: Standing,
): Promise<void> {
  const found = await namingList(call, certificates, standing)
  const list = standing.crls.find(({ crl }) => crl === found)?.hash
  if (list === undefined) return
  const { now } = call
  const ends = certificates.map((one) => parseCertificate(one).notAfter)
  const updates = standing.crls.map(({ crl }) => crl.nextUpdate)
  const changes = [...ends, ...updates].filter((time) => time >= now)
  const until = Math.min(now + REMEMBER, ...changes)
  verdicts.set(keyOf(certificates, roles, standing), { list, shown: 0, until })
}

/** Throws `ERR_NOT_FOUND` for a client that is known to be revoked, with the list that names it unless it was just shown that. */
export function refuseRevoked(
  { now }: Call,
  certificates: readonly Bytes[],
  roles: readonly Role[],
  standing: Standing,
): void {
  const verdict = verdicts.get(keyOf(certificates, roles, standing))
  if (verdict === undefined || now > verdict.until) return
  const named = standing.crls.find(({ hash }) => equal(hash, verdict.list))
  // PROTOCOL [relay-4]
  if (named !== undefined && verdict.shown++ < MAX_SHOWN)
    throw new RelayError('ERR_NOT_FOUND', { crl: named.crl.der })
  throw relayError('ERR_NOT_FOUND')
}
