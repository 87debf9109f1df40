/**
 * Proof that a deriver's key signed what no honest deriver of an honest authority signs (docs/PROTOCOL.md, "Evidence"): a file that anyone can check who
 * knows the tenant id. A relay signs nothing, so that nothing in it can speak against one.
 */
import { equal, hex, type Bytes } from './bytes.ts'
import { isReplaced } from './numbered.ts'
import { envelopeSchema } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { decodeJson, encodeJson } from './json.ts'
import { MAX_CRL, MAX_TRUST_STEPS } from './limits.ts'
import { type VerifyContext } from './verify-context.ts'
import { compareVersions } from './manifest.ts'
import { verifyHeadSignature, type Head } from './release.ts'
import { bytes, int, list, object, text, type Infer } from './schema.ts'
import type { TrustDocument } from './trust.ts'
import { followTrust, TENANT_ID } from './trust-following.ts'

/** Bytes of a file of evidence at most. */
export const MAX_EVIDENCE = 8_388_608

/** What every file of evidence has, beside what contradicts each other. */
export const evidenceFields = {
  at: int(),
  crls: list(bytes(1, MAX_CRL), 0, 64),
  tenant: text(52, TENANT_ID),
  trust: list(envelopeSchema, 1, MAX_TRUST_STEPS),
} as const

const evidenceSchema = object({ ...evidenceFields, known: envelopeSchema, other: envelopeSchema })

/** What a client keeps of a contradiction: the head that it had accepted, and the other one. `at` in seconds. */
export type EvidenceBody = Infer<typeof evidenceSchema>

/** What the documents of a file contradict each other in; `unlogged` is of log-evidence.ts alone. */
export type Contradiction =
  'fork' | 'regression' | 'log' | 'unlogged' | 'lifetime' | 'incarnation' | 'trust'

/** A contradiction that is proven, in words, and the certificates (fingerprints) whose keys signed it. */
export interface Finding {
  kind: Contradiction
  what: string
  signers: Bytes[]
  /** The last trust document of the file, to be compared with a floor: whoever stole keys of an authority can make others. */
  trust: { number: number; hash: Bytes }
}

type Claim = Pick<Finding, 'kind' | 'what'>

/** A file of evidence. */
export function encodeEvidence(body: EvidenceBody): Bytes {
  return encodeJson(body)
}

/** Decodes a file of evidence; nothing of it is verified. Throws the codes of decoding. */
export function decodeEvidence(file: Bytes): EvidenceBody {
  // PROTOCOL [evidence-1]
  return evidenceSchema(decodeJson(file, MAX_EVIDENCE), '')
}

/** Whether the numbers of catalogs go on from one head to the other: all trust documents in between are there, and none replaces the authority. */
function goesOn(earlier: Head['body'], later: Head['body'], chain: readonly TrustDocument[]) {
  const steps = chain.slice(earlier.trust.number - 1, later.trust.number)
  const [first, last] = [steps.at(0), steps.at(-1)]
  return (
    first !== undefined &&
    equal(first.hash, earlier.trust.hash) &&
    equal(last!.hash, later.trust.hash) &&
    steps.slice(1).every(({ body }, i) => !isReplaced(steps[i]!.body.authority, body.authority))
  )
}

/** What of a later head is below the same of an earlier one. */
function regression(
  earlier: Head['body'],
  later: Head['body'],
  chain: readonly TrustDocument[],
): string | null {
  // PROTOCOL [catalog-3]
  const least = goesOn(earlier, later, chain) ? earlier.catalog.number : 0
  const numbers: [string, number, number][] = [
    ['trust document', earlier.trust.number, later.trust.number],
    ['catalog', least, later.catalog.number],
    ['log', earlier.log.size, later.log.size],
    ...earlier.crls.flatMap(({ issuer, number }): [string, number, number][] => {
      const next = later.crls.find((one) => equal(one.issuer, issuer))
      return next === undefined ? [] : [[`revocation list of ${hex(issuer)}`, number, next.number]]
    }),
  ]
  const fallen = numbers.find(([, before, after]) => after < before)
  return fallen === undefined ? null : `${fallen[0]} ${fallen[2]} after ${fallen[1]}`
}

/** What is wrong with a head under the trust document that was in force. */
function misstatement({ body }: Head, chain: readonly TrustDocument[]): Claim | null {
  const named = chain[body.trust.number - 1]
  if (named === undefined) return null
  if (!equal(named.hash, body.trust.hash))
    return {
      kind: 'trust',
      what: `another trust document ${body.trust.number}, which the authority may have signed, too`,
    }
  if (body.incarnation !== named.body.incarnation) {
    const what = `incarnation ${body.incarnation} under a trust document of ${named.body.incarnation}`
    return { kind: 'incarnation', what }
  }
  const lifetime = body.expiresAt - body.issuedAt
  return lifetime < 1 || lifetime > named.body.headLifetime
    ? {
        kind: 'lifetime',
        what: `a head of ${lifetime} s where ${named.body.headLifetime} are allowed`,
      }
    : null
}

function contradiction(known: Head, other: Head, chain: readonly TrustDocument[]): Claim | null {
  const order = compareVersions(known.body, other.body)
  const { incarnation, version } = known.body
  if (order === 0 && !equal(known.hash, other.hash))
    return { kind: 'fork', what: `two different heads have version ${incarnation}.${version}` }
  const [earlier, later] = order < 0 ? [known, other] : [other, known]
  // Numbers may begin anew with an incarnation.
  const isSame = earlier.body.incarnation === later.body.incarnation
  const fallen = isSame ? regression(earlier.body, later.body, chain) : null
  if (fallen !== null) return { kind: 'regression', what: fallen }
  const { size, root } = earlier.body.log
  if (isSame && later.body.log.size === size && !equal(later.body.log.root, root))
    return { kind: 'log', what: `two different logs of ${size} entries` }
  return misstatement(other, chain) ?? misstatement(known, chain)
}

/** The trust documents of a file, and how its heads are verified: without regard to the verifier's clock. Throws `ERR_TENANT` and the codes of trust documents. */
export async function verifyEvidenceTrust(
  evidence: Pick<EvidenceBody, 'at' | 'crls' | 'tenant' | 'trust'>,
  tenant: string,
): Promise<{ chain: TrustDocument[]; context: VerifyContext }> {
  // PROTOCOL [evidence-2]
  if (evidence.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
  const chain: TrustDocument[] = []
  for (const envelope of evidence.trust)
    chain.push(await followTrust(tenant, chain.at(-1) ?? null, [envelope], null, null))
  return { chain, context: { trust: chain.at(-1)!, now: evidence.at, crls: evidence.crls } }
}

/** Fingerprints of the certificates that signed heads, each once. */
export function signersOf(heads: readonly Head[]): Bytes[] {
  const signers = heads.map(({ path }): [string, Bytes] => [
    hex(path.fingerprint),
    path.fingerprint,
  ])
  return [...new Map(signers).values()]
}

/**
 * Checks evidence with nothing but the tenant id. Returns what it proves. Throws `ERR_TENANT`, the codes of trust documents and of envelopes, and
 * `ERR_UNPROVEN` where the two heads can both be honest.
 */
export async function verifyEvidence(evidence: EvidenceBody, tenant: string): Promise<Finding> {
  const { chain, context } = await verifyEvidenceTrust(evidence, tenant)
  const known = await verifyHeadSignature(evidence.known, context)
  const other = await verifyHeadSignature(evidence.other, context)
  // PROTOCOL [evidence-3]
  const found = contradiction(known, other, chain)
  if (found === null) throw new KeyferryError('ERR_UNPROVEN', 'the two heads can both be honest')
  const { body, hash } = chain.at(-1)!
  return { ...found, signers: signersOf([known, other]), trust: { number: body.number, hash } }
}
