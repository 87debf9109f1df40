/**
 * Proof that a deriver's key signed two logs, or a release that its log does not have (docs/PROTOCOL.md, "Evidence"): two statements of what
 * stands at one index, each under a signed head. Only what signed heads commit to counts, so that no relay and no honest deriver can be accused.
 */
import { equal, type Bytes } from './bytes.ts'
import { envelopeSchema } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import {
  decodeEvidence,
  evidenceFields,
  MAX_EVIDENCE,
  signersOf,
  verifyEvidence,
  verifyEvidenceTrust,
  type Finding,
} from './evidence.ts'
import { sha256 } from './hash.ts'
import { decodeJson, encodeJson } from './json.ts'
import { type VerifyContext } from './verify-context.ts'
import { MAX_LOG_LEAF } from './limits.ts'
import { releaseLeaf } from './log.ts'
import { keyringLeaf } from './manifest.ts'
import { decodeRelease, verifyHeadSignature, type Head } from './release.ts'
import { bytes, int, list, object, oneOf, type Infer } from './schema.ts'
import { verifyLeaf } from './tree-proof.ts'

const statementSchema = object({
  head: envelopeSchema,
  leaf: bytes(1, MAX_LOG_LEAF),
  of: oneOf('log', 'releases'),
  proof: object({ index: int(0, 0xffffffff), path: list(bytes(32), 0, 64) }),
})

const logEvidenceSchema = object({
  ...evidenceFields,
  known: statementSchema,
  other: statementSchema,
})

/** What a head commits to: an entry of its log, or a release, which has to stand in the log as the entry that it implies. */
export type Statement = Infer<typeof statementSchema>
/** A file of evidence about the log. `at` in seconds. */
export type LogEvidenceBody = Infer<typeof logEvidenceSchema>

/** A statement that its head commits to. */
interface Proven {
  head: Head
  index: number
  /** The entry at that index. */
  leaf: Bytes
  of: Statement['of']
}

export function encodeLogEvidence(body: LogEvidenceBody): Bytes {
  return encodeJson(body)
}

/** Decodes a file of evidence about the log; nothing of it is verified. Throws the codes of decoding. */
export function decodeLogEvidence(file: Bytes): LogEvidenceBody {
  // PROTOCOL [evidence-1]
  return logEvidenceSchema(decodeJson(file, MAX_EVIDENCE), '')
}

/** Throws the codes of envelopes and releases, `ERR_HASH` for what the head does not commit to, `ERR_TENANT` and `ERR_INCARNATION`. */
async function proveStatement(
  { head: envelope, leaf, of, proof }: Statement,
  context: VerifyContext,
): Promise<Proven> {
  // PROTOCOL [evidence-4]
  const head = await verifyHeadSignature(envelope, context)
  const { log, releases, incarnation, tenant } = head.body
  if (of === 'log') {
    await verifyLeaf(leaf, proof, log.size, log.root)
    return { head, index: proof.index, leaf, of }
  }
  const release = decodeRelease(leaf)
  await verifyLeaf(keyringLeaf(release.keyring, sha256(leaf)), proof, releases.size, releases.root)
  if (release.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
  if (release.incarnation !== incarnation) throw new KeyferryError('ERR_INCARNATION')
  return { head, index: release.log, leaf: releaseLeaf(release), of }
}

/** What two statements contradict each other in; `null` where both can be honest. */
function contradiction(known: Proven, other: Proven): Pick<Finding, 'kind' | 'what'> | null {
  // PROTOCOL [evidence-5]
  for (const { head, index } of [known, other]) {
    const { size } = head.body.log
    // Only a release can claim that: an entry has its proof.
    if (index >= size)
      return { kind: 'unlogged', what: `a release of entry ${index} under a log of ${size}` }
  }
  const [one, two] = [known.head.body, other.head.body]
  // A deriver that was restored goes on from an earlier log.
  if (one.incarnation !== two.incarnation) return null
  if (known.index !== other.index || equal(known.leaf, other.leaf)) return null
  const heads = `heads ${one.incarnation}.${one.version} and ${two.incarnation}.${two.version}`
  return known.of === 'log' && other.of === 'log'
    ? { kind: 'log', what: `${heads} have different entries ${known.index} in their logs` }
    : {
        kind: 'unlogged',
        what: `${heads}: entry ${known.index} is not that of a release under them`,
      }
}

/**
 * Checks evidence about the log with nothing but the tenant id. Returns what it proves. Throws `ERR_TENANT`, the codes of trust documents, envelopes
 * and proofs, and `ERR_UNPROVEN` where both statements can be honest.
 */
export async function verifyLogEvidence(
  evidence: LogEvidenceBody,
  tenant: string,
): Promise<Finding> {
  const { chain, context } = await verifyEvidenceTrust(evidence, tenant)
  const known = await proveStatement(evidence.known, context)
  const other = await proveStatement(evidence.other, context)
  const found = contradiction(known, other)
  if (found === null)
    throw new KeyferryError('ERR_UNPROVEN', 'the two statements can both be honest')
  const { body, hash } = chain.at(-1)!
  const signers = signersOf([known.head, other.head])
  return { ...found, signers, trust: { number: body.number, hash } }
}

/** Whether a file of evidence is about the log. Throws the codes of decoding. */
function isAboutLog(file: Bytes): boolean {
  const value = decodeJson(file, MAX_EVIDENCE) as { known?: { of?: unknown } } | null
  return value?.known?.of !== undefined
}

/** Checks a file of evidence of any kind with nothing but the tenant id. Throws the codes of decoding and of checking. */
export async function verifyEvidenceFile(file: Bytes, tenant: string): Promise<Finding> {
  return isAboutLog(file)
    ? verifyLogEvidence(decodeLogEvidence(file), tenant)
    : verifyEvidence(decodeEvidence(file), tenant)
}
