/**
 * Key requests out of the mailbox: verified again from the ground up, since the relay could have written them, then decided, then written in
 * one transaction that decides again (docs/PROTOCOL.md, "Key package and request").
 */
import { type RequestBody } from '../shared/deriver-calls.ts'
import { base64url, equal, fromBase64url, hex, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, encodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { type Crl } from '../shared/crl.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import {
  requireRisingPackage,
  verifyKeyPackage,
  verifyKeyRequest,
  type KeyPackage,
  type KeyRequest,
} from '../shared/key-package.ts'
import { keyId } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parsedCrls } from './crls.ts'
import {
  deviceOf,
  isDenied,
  lastPackage,
  makeWelcome,
  saveDevice,
  savePackage,
  type DeviceRow,
  type NewWelcome,
} from './devices.ts'
import { appendLog } from './log.ts'
import { joinKeyring, keyringsOf, renewGeneration } from './members.ts'
import { putObject } from './objects.ts'
import { keepRequest, standing } from './pending.ts'
import { decide } from './policy.ts'
import { type PublishKeys } from './publish.ts'
import { signRefusal } from './refusals.ts'
import { type KeyringRow } from './rows.ts'
import { manifestRules } from './rules.ts'
import { type Store } from './store.ts'
import { isNewestTrust } from './trust.ts'

/** What came of one request. */
export interface Outcome {
  /** URI of the client. */
  uri: string
  /** Names of keyrings. */
  granted: string[]
  refused: { keyring: string; reason: string; kind: 'denied' | 'pending' }[]
  refusals: Envelope[]
}

/** How often a request is decided anew because something changed while its welcome was sealed. */
const ATTEMPTS = 4

/** A verified request with what it is about. */
interface Case {
  store: Store
  keys: PublishKeys
  trust: TrustDocument
  keyPackage: KeyPackage
  request: KeyRequest
  /** Key id of the client's certificate. */
  device: Bytes
  now: number
  /** The lists that the request was verified with. */
  crls: readonly Crl[]
}

/** A decision on one keyring. `row` is undefined where there is no such keyring. */
interface Verdict {
  id: Bytes
  row: KeyringRow | undefined
  /** Why not; `null` for a grant. */
  reason: string | null
  kind: 'denied' | 'pending'
}

/** Throws `ERR_CONFLICT` where another process took a list or a trust document into force since the request was verified. */
function requireSameTrust({ store, trust, crls }: Case): void {
  if (!isNewestTrust(store, trust) || parsedCrls(store) !== crls)
    throw new KeyferryError('ERR_CONFLICT', 'trust changed while the request was decided')
}

function answered({ store, request, device }: Case): Outcome | null {
  // PROTOCOL [request-3]
  const before = store.get<{ hash: Bytes; refusals: string }>(
    'SELECT hash, refusals FROM requests WHERE signer = ? AND nonce = ?',
    device,
    request.body.nonce,
  )
  if (before === undefined) return null
  if (!equal(before.hash, request.hash)) throw new KeyferryError('ERR_REPLAY', 'a nonce used twice')
  const refusals = (JSON.parse(before.refusals) as string[]).map((text) =>
    decodeEnvelope(fromBase64url(text)),
  )
  return { uri: request.path.uri, granted: [], refused: [], refusals }
}

/** Why a package is not taken, in words for a client that lost its state; `null` if it is. */
function packageProblem({ store, keyPackage, device }: Case): string | null {
  try {
    requireRisingPackage(keyPackage, lastPackage(store, device))
    return null
  } catch (error) {
    if (isKeyferryError(error, 'ERR_KEY_PACKAGE_STALE')) {
      return 'a newer key package of this device is known: use its stored state, or a new certificate key'
    }
    if (isKeyferryError(error, 'ERR_KEY_PACKAGE'))
      return 'the version of the key package rises too far'
    throw error
  }
}

function decideOne({ store, request, device }: Case, id: Bytes, problem: string | null): Verdict {
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)
  if (problem !== null) return { id, row, reason: problem, kind: 'denied' }
  const denied = isDenied(store, device)
  const decision = decide({
    uri: request.path.uri,
    anchor: request.path.issuers.at(-1)!.keyId,
    denied,
    rules: row === undefined ? null : manifestRules(store, row),
    policy: row === undefined ? [] : (JSON.parse(row.policy) as string[]),
  })
  if (decision.granted) return { id, row, reason: null, kind: 'denied' }
  const waits = row?.approvals === 1 && !denied ? standing(store, device, id) : null
  return { id, row, ...(waits ?? { kind: 'denied', reason: decision.reason }) }
}

/** Decisions on the keyrings asked for, and on those that the device is in already: a rotated package keeps only what is still granted. */
function decideAll(one: Case): { asked: Verdict[]; held: Verdict[]; problem: string | null } {
  const problem = packageProblem(one)
  const asked = one.request.body.keyrings.map((id) => decideOne(one, id, problem))
  const held =
    problem === null ? keyringsOf(one.store, one.device).map((id) => decideOne(one, id, null)) : []
  return { asked, held, problem }
}

function refuse(
  { store, keys, trust, request, now }: Case,
  { id, kind, reason }: Verdict,
): Promise<Envelope> {
  const { nonce, signer } = request.body
  const word = { keyring: id, kind, nonce, release: new Uint8Array(), reason: reason! }
  return signRefusal(store, keys, trust, { ...word, recipient: signer }, now)
}

/** The device as it is with this package: the row that is there, or a new one with the welcome that belongs to it. */
export async function prepareDevice(
  one: Pick<Case, 'store' | 'keys' | 'trust' | 'keyPackage' | 'device'>,
): Promise<{ row: DeviceRow; made: NewWelcome | null }> {
  const known = one.store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', one.device)
  if (hasChannel(known, one.keyPackage)) return { row: known, made: null }
  const made = await makeWelcome(
    one.keys.root,
    one.store.counter('root'),
    one.trust.tenant,
    one.keyPackage,
  )
  return { row: await deviceOf(one.keyPackage, made), made }
}

/** Whether a device has a channel for this package whose salt was not erased. */
export function hasChannel(row: DeviceRow | undefined, { hash }: KeyPackage): row is DeviceRow {
  return row !== undefined && equal(row.package_hash, hash) && row.channel_salt.length > 0
}

const reasonsOf = (verdicts: readonly Verdict[]): string =>
  JSON.stringify(verdicts.map((v) => [hex(v.id), v.reason]))

async function attempt(one: Case): Promise<Outcome | null> {
  const { store, keys, trust, keyPackage, request, device, now } = one
  const plan = decideAll(one)
  const isNeeded = [...plan.asked, ...plan.held].some((verdict) => verdict.reason === null)
  const prepared = isNeeded ? await prepareDevice(one) : null
  const refused = plan.asked.filter((verdict) => verdict.reason !== null)
  const refusals = await Promise.all(refused.map((verdict) => refuse(one, verdict)))
  const deriving = { root: keys.root, tenant: trust.tenant }
  const outcome: Outcome = {
    uri: request.path.uri,
    granted: plan.asked.flatMap((verdict) => (verdict.reason === null ? [verdict.row!.name] : [])),
    refused: refused.map(({ row, id, reason, kind }) => ({
      keyring: row?.name ?? hex(id).slice(0, 8),
      reason: reason!,
      kind,
    })),
    refusals,
  }
  return keys.root.transaction(store, () => {
    // A welcome was sealed and refusals were signed meanwhile: what was decided before may not hold any more.
    requireSameTrust(one)
    const again = answered(one)
    if (again !== null) return again
    const present = decideAll(one)
    const known = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', device)
    const isSame =
      reasonsOf(present.asked) === reasonsOf(plan.asked) &&
      reasonsOf(present.held) === reasonsOf(plan.held) &&
      (prepared?.made !== null || hasChannel(known, keyPackage))
    if (!isSame) return null
    if (present.problem === null) savePackage(store, device, keyPackage)
    if (prepared !== null) {
      if (prepared.made !== null) {
        saveDevice(store, prepared.row)
        putObject(store, prepared.made.welcome)
      }
      // Its channel may have been replaced meanwhile.
      const row = prepared.made === null ? known! : prepared.row
      for (const { id, reason } of [...present.held, ...present.asked]) {
        // PROTOCOL [request-4]
        if (reason === null) joinKeyring(store, deriving, id, row, now)
      }
    }
    for (const { id, reason } of present.held) {
      if (reason !== null)
        renewGeneration(store, deriving, id, now, (row) => !equal(row.key_id, device))
    }
    for (const [i, { id, reason, kind }] of refused.entries()) {
      const refusal = documentHash(refusals[i]!)
      if (kind === 'pending') {
        keepRequest(store, device, id, keyPackage, request, refusal, now)
        continue
      }
      const recipient = request.body.signer
      const details = { keyring: id, reason: reason!, recipient, refusal, uri: outcome.uri }
      appendLog(store, 'request-refused', now, details)
    }
    store.run('INSERT OR REPLACE INTO heard VALUES (?, ?)', device, now)
    store.run(
      'INSERT INTO requests VALUES (?, ?, ?, ?, ?)',
      device,
      request.body.nonce,
      request.hash,
      request.body.expiresAt,
      JSON.stringify(refusals.map((envelope) => base64url(encodeEnvelope(envelope)))),
    )
    return outcome
  })
}

/**
 * Handles one request. A request that is not valid throws; a valid one that is not granted is refused, signed.
 * Throws `ERR_CONFLICT` if the device kept changing, or trust did, for the request to be taken up again.
 */
export async function handleRequest(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  body: RequestBody,
  now: number,
): Promise<Outcome> {
  const context = { trust, now, crls: parsedCrls(store) }
  const keyPackage = await verifyKeyPackage(body.package, context)
  const request = await verifyKeyRequest(body.request, keyPackage, context)
  const device = await keyId(keyPackage.path.spki)
  const one: Case = { store, keys, trust, keyPackage, request, device, now, crls: context.crls }
  const before = answered(one)
  if (before !== null) return before
  for (let i = 0; i < ATTEMPTS; i++) {
    const outcome = await attempt(one)
    if (outcome !== null) return outcome
  }
  throw new KeyferryError('ERR_CONFLICT', 'the device changes faster than it is decided on')
}

/** Forgets nonces of requests that are long expired. */
export function forgetRequests(store: Store, now: number): void {
  store.run('DELETE FROM requests WHERE expires < ?', now - 86_400)
}
