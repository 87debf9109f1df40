/** The next trust document on its way through several hands: proposed as a file, signed key by key, published. Nothing here believes a file. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import {
  encodeEnvelope,
  payloadType,
  signWithAuthority,
  type Envelope,
} from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { decodeJson, encodeJson } from '../shared/json.ts'
import { MAX_ENVELOPE, MAX_TRUST_STEPS } from '../shared/limits.ts'
import { bytes, list, object, oneOf } from '../shared/schema.ts'
import { keyId, type AnySigningKey } from '../shared/signature.ts'
import {
  decodeTrust,
  requireNext,
  verifySuccessor,
  type TrustBody,
  type TrustDocument,
} from '../shared/trust.ts'
import { requireIssued } from '../shared/trust-following.ts'
import { appendLog } from './log.ts'
import { date } from './show.ts'
import { markChanged, type Store } from './store.ts'
import { newestTrust } from './trust.ts'

/** An envelope of a trust document with any number of signatures. */
const draftSchema = object({
  certificates: list(bytes(1), 0, 0),
  payload: bytes(2, MAX_ENVELOPE),
  payloadType: oneOf(payloadType('trust')),
  signatures: list(object({ keyid: bytes(32), sig: bytes(64) }), 0, 32),
})

/** Bytes of a file with a trust document at most: white space around it is nothing. */
export const MAX_DRAFT: number = 2 * MAX_ENVELOPE

/** Reads a proposed trust document. White space around it is nothing. Throws the codes of decoding. */
export function decodeDraft(data: Bytes): Envelope {
  if (data.length > MAX_DRAFT) throw new KeyferryError('ERR_TOO_LARGE')
  const trimmed = new TextEncoder().encode(new TextDecoder().decode(data).trim())
  return draftSchema(decodeJson(trimmed, MAX_ENVELOPE), '')
}

/** An unsigned draft of a body. Throws the codes of a trust document that cannot be. */
export function makeDraft(body: TrustBody, current: TrustDocument): Envelope {
  const type = payloadType('trust')
  const draft = { certificates: [], payload: encodeJson(body), payloadType: type, signatures: [] }
  requireNext(decodeTrust(draft), current)
  if (encodeEnvelope(draft).length > MAX_ENVELOPE - 8_192)
    throw new KeyferryError('ERR_TOO_LARGE', 'the trust document leaves no room for signatures')
  return draft
}

/** One difference between two trust documents; `widens` where it trusts more than before. */
export interface TrustChange {
  what: string
  widens: boolean
}

const fingerprint = (value: Bytes | string): string =>
  typeof value === 'string' ? value : hex(value)

function listChanges(
  name: string,
  before: readonly (Bytes | string)[],
  after: readonly (Bytes | string)[],
  widens: boolean,
): TrustChange[] {
  const names = (values: readonly (Bytes | string)[]): Map<string, string> =>
    new Map(values.map((one) => [typeof one === 'string' ? one : hex(one), fingerprint(one)]))
  const [old, fresh] = [names(before), names(after)]
  return [
    ...[...fresh].flatMap(([id, text]) =>
      old.has(id) ? [] : [{ what: `+ ${name} ${text}`, widens }],
    ),
    ...[...old].flatMap(([id, text]) =>
      fresh.has(id) ? [] : [{ what: `- ${name} ${text}`, widens: false }],
    ),
  ]
}

/** What a trust document changes. Keys and anchors are shown by their hash in hex. */
export async function trustChanges(before: TrustBody, after: TrustBody): Promise<TrustChange[]> {
  const ids = (values: readonly Bytes[]): Promise<Bytes[]> => Promise.all(values.map(keyId))
  const out = listChanges(
    'authority key',
    await ids(before.authority.keys),
    await ids(after.authority.keys),
    true,
  )
  const { threshold } = before.authority
  if (after.authority.threshold !== threshold) {
    const what = `threshold ${threshold} → ${after.authority.threshold}`
    out.push({ what, widens: after.authority.threshold < threshold })
  }
  for (const role of ['clients', 'derivers'] as const) {
    const [old, fresh] = [before[role], after[role]]
    out.push(
      ...listChanges(`anchor of ${role}`, await ids(old.anchors), await ids(fresh.anchors), true),
      ...listChanges(`SAN rule of ${role}`, old.sans, fresh.sans, true),
      ...listChanges(`EKU of ${role}`, old.ekus, fresh.ekus, false).map(({ what }) => ({
        what,
        widens: what.startsWith('-'),
      })),
    )
  }
  out.push(
    ...listChanges('suite', before.suites, after.suites, true),
    ...listChanges('relay', before.relays, after.relays, false),
    ...listChanges('origin', before.origins, after.origins, true),
  )
  for (const name of ['headLifetime', 'skew', 'incarnation', 'issuedAt', 'expiresAt'] as const) {
    if (before[name] === after[name]) continue
    const isBound = name === 'headLifetime' || name === 'skew'
    const isDate = name === 'issuedAt' || name === 'expiresAt'
    const [old, fresh] = isDate
      ? [`${date(before[name])} UTC`, `${date(after[name])} UTC`]
      : [before[name], after[name]]
    const what = `${name} ${old} → ${fresh}`
    out.push({ what, widens: isBound && after[name] > before[name] })
  }
  for (const { issuer, number } of after.lowestCrls) {
    const old = before.lowestCrls.find((one) => equal(one.issuer, issuer))?.number ?? 0
    if (old !== number)
      out.push({ what: `lowest CRL of ${fingerprint(issuer)}: ${old} → ${number}`, widens: false })
  }
  return out
}

/** What `work` throws, with what helps two people who signed different documents, or one that followed an earlier one. */
async function withHints<T>(current: TrustDocument, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!isKeyferryError(cause)) throw cause
    const { code, message } = cause
    const hint = {
      ERR_SIGNATURE: 'has everybody signed this same file? keyferry trust sign prints its hash',
      ERR_TRUST_DOCUMENT: `document ${current.body.number} is in force: keyferry trust propose makes one that follows it, to be signed anew`,
    }[code as string]
    throw hint === undefined ? cause : new KeyferryError(code, message, { cause, hint })
  }
}

/** Adds a key's signature to a draft, after checking that it follows the document in force. Throws `ERR_USAGE`, `ERR_EXISTS`, `ERR_TRUST_DOCUMENT`. */
export async function signDraft(
  draft: Envelope,
  key: AnySigningKey,
  current: TrustDocument,
): Promise<Envelope> {
  const body = decodeTrust(draft)
  await withHints(current, () => requireNext(body, current))
  const listed = [...current.body.authority.keys, ...body.authority.keys]
  if (!listed.some((one) => equal(one, key.spki)))
    throw new KeyferryError('ERR_USAGE', 'this key is in neither trust document')
  const [signature] = (await signWithAuthority('trust', body, [key])).signatures
  if (draft.signatures.some(({ keyid }) => equal(keyid, signature!.keyid)))
    throw new KeyferryError('ERR_EXISTS', 'this key has signed already')
  return { ...draft, signatures: [...draft.signatures, signature!] }
}

/** How many signatures are missing: of the authority in force, and of the next one. They are not verified. */
export async function missingSignatures(
  draft: Envelope,
  current: TrustDocument,
): Promise<{ present: number; next: number }> {
  const missing = async ({ keys, threshold }: TrustBody['authority']): Promise<number> => {
    const ids = await Promise.all(keys.map(keyId))
    const has = ids.filter((id) => draft.signatures.some(({ keyid }) => equal(keyid, id)))
    return Math.max(0, threshold - has.length)
  }
  return {
    present: await missing(current.body.authority),
    next: await missing(decodeTrust(draft).authority),
  }
}

/**
 * Takes the successor of the newest trust document into force, in one transaction. Returns it: number and hash are a floor. Throws the codes of
 * `verifySuccessor`, `ERR_FUTURE`, `ERR_STALE`, `ERR_TRUST_CHAIN_TOO_LONG`; nothing is changed then.
 */
export async function publishTrust(
  store: Store,
  draft: Envelope,
  now: number,
): Promise<TrustDocument> {
  const current = await newestTrust(store)
  const next = await withHints(current, () => verifySuccessor(draft, current))
  requireIssued(next.body, now)
  if (next.body.expiresAt <= now) throw new KeyferryError('ERR_STALE', 'it is expired already')
  const { number } = next.body
  // PROTOCOL [trust-7]: relays and clients without state would take no head under it
  if (number > MAX_TRUST_STEPS) throw new KeyferryError('ERR_TRUST_CHAIN_TOO_LONG')
  const hash = documentHash(draft)
  store.transaction(() => {
    const { n } = store.get<{ n: number }>('SELECT max(number) AS n FROM trust')!
    if (n !== number - 1)
      throw new KeyferryError('ERR_TRUST_DOCUMENT', 'another one was published meanwhile')
    appendLog(store, 'trust-published', now, { number, hash })
    store.run('INSERT INTO trust VALUES (?, ?, ?)', number, hash, encodeEnvelope(draft))
    markChanged(store)
  })
  return next
}
