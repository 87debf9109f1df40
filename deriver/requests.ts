/**
 * Key requests out of the mailbox: verified again from the ground up, since the relay could have written them, then decided, then written in
 * one transaction (docs/PROTOCOL.md, "Key package and request").
 */
import { type RequestBody } from '../shared/api.ts'
import { base64url, equal, fromBase64url, hex, type Bytes } from '../shared/bytes.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  signWithCertificate,
  type Envelope,
} from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import {
  requireRisingPackage,
  verifyKeyPackage,
  verifyKeyRequest,
  type KeyPackage,
  type KeyRequest,
} from '../shared/key-package.ts'
import { keyId } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { appendLog } from './log.ts'
import { type KeyringRow } from './keyrings.ts'
import {
  deviceOf,
  joinKeyring,
  makeWelcome,
  putObject,
  saveDevice,
  type DeviceRow,
  type NewWelcome,
} from './members.ts'
import { decide } from './policy.ts'
import { currentCrls, type PublishKeys } from './publish.ts'
import { type Store } from './store.ts'

/** What came of one request. */
export interface Outcome {
  /** URI of the client, empty if it was not even that. */
  uri: string
  granted: string[]
  refused: { keyring: string; reason: string }[]
  refusals: Envelope[]
}

/** Seconds that a refusal lives at most. */
const REFUSAL_LIFETIME = 3_600

interface Known {
  hash: Bytes
  refusals: string
}

async function refuse(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  request: KeyRequest,
  keyring: Bytes,
  reason: string,
  now: number,
): Promise<Envelope> {
  const body = {
    expiresAt: now + Math.min(REFUSAL_LIFETIME, trust.body.headLifetime),
    head: {
      incarnation: store.counter('incarnation'),
      version: Math.max(1, store.counter('head')),
    },
    issuedAt: now,
    keyring,
    kind: 'denied',
    nonce: request.body.nonce,
    reason,
    recipient: request.body.signer,
    release: '',
    signer: sha256(keys.signer.certificates[0]!),
    tenant: trust.tenant,
  }
  return signWithCertificate('refusal', body, keys.signer.key, keys.signer.certificates)
}

/** The device of a package: the one known if the package is, else one with a new welcome, which must still be saved. */
async function prepareDevice(
  known: DeviceRow | undefined,
  keys: PublishKeys,
  tenant: string,
  keyPackage: KeyPackage,
): Promise<{ device: DeviceRow; made: NewWelcome | null }> {
  if (known !== undefined && equal(known.package_hash, keyPackage.hash))
    return { device: known, made: null }
  const made = await makeWelcome(keys.root, tenant, keyPackage)
  return { device: await deviceOf(keyPackage, made), made }
}

/** Why a package is not taken, in words for a client that lost its state; `null` if it is. */
function packageProblem(keyPackage: KeyPackage, known: DeviceRow | undefined): string | null {
  const last =
    known === undefined ? null : { version: known.package_version, hash: known.package_hash }
  try {
    requireRisingPackage(keyPackage, last)
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

/** Handles one request. A request that is not valid throws; a valid one that is not granted is refused, signed. */
export async function handleRequest(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  { package: packageEnvelope, request: requestEnvelope }: RequestBody,
  now: number,
): Promise<Outcome> {
  const context = { trust, now, crls: currentCrls(store).map((crl) => crl.der) }
  const keyPackage = await verifyKeyPackage(packageEnvelope, context)
  const request = await verifyKeyRequest(requestEnvelope, keyPackage, context)
  const { uri } = request.path
  const id = await keyId(keyPackage.path.spki)
  const known = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', id)
  // PROTOCOL [request-3]
  const before = store.get<Known>(
    'SELECT hash, refusals FROM requests WHERE signer = ? AND nonce = ?',
    id,
    request.body.nonce,
  )
  if (before !== undefined) {
    if (!equal(before.hash, request.hash))
      throw new KeyferryError('ERR_REPLAY', 'a nonce used twice')
    const refusals = (JSON.parse(before.refusals) as string[]).map((text) =>
      decodeEnvelope(fromBase64url(text)),
    )
    return { uri, granted: [], refused: [], refusals }
  }
  const outcome: Outcome = { uri, granted: [], refused: [], refusals: [] }
  const grants: KeyringRow[] = []
  const stale = packageProblem(keyPackage, known)
  for (const asked of request.body.keyrings) {
    const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', asked)
    const rules = row === undefined ? null : (JSON.parse(row.rules) as string[])
    const decision =
      stale === null
        ? decide({ uri, denied: known?.denied === 1, rules })
        : { granted: false as const, reason: stale }
    if (decision.granted && row !== undefined) grants.push(row)
    else if (!decision.granted) {
      outcome.refused.push({
        keyring: row?.name ?? hex(asked).slice(0, 8),
        reason: decision.reason,
      })
      outcome.refusals.push(await refuse(store, keys, trust, request, asked, decision.reason, now))
    }
  }
  const { device, made } =
    stale === null
      ? await prepareDevice(known, keys, trust.tenant, keyPackage)
      : { device: null, made: null }
  store.transaction(() => {
    // Something may have happened while the welcome was sealed.
    const present = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', id)
    if (
      (present?.package_version ?? 0) !== (known?.package_version ?? 0) ||
      (present?.denied ?? 0) !== (known?.denied ?? 0)
    ) {
      throw new KeyferryError('ERR_CONFLICT', 'the device changed meanwhile')
    }
    if (made !== null && device !== null && (grants.length > 0 || known !== undefined)) {
      saveDevice(store, device)
      putObject(store, made.welcome)
      // A rotated package takes its memberships along; no cell is ever made for the old one.
      for (const row of store.all<KeyringRow>(
        'SELECT k.* FROM members m JOIN keyrings k ON k.id = m.keyring WHERE m.device = ?',
        id,
      )) {
        if (known?.denied !== 1) joinKeyring(store, keys.root, trust.tenant, row, device, now)
      }
    }
    for (const row of device === null ? [] : grants) {
      joinKeyring(store, keys.root, trust.tenant, row, device!, now)
      outcome.granted.push(row.name)
    }
    for (const { keyring, reason } of outcome.refused)
      appendLog(store, 'request-refused', now, { keyring, reason, uri })
    store.run(
      'INSERT INTO requests VALUES (?, ?, ?, ?, ?)',
      id,
      request.body.nonce,
      request.hash,
      request.body.expiresAt,
      JSON.stringify(outcome.refusals.map((envelope) => base64url(encodeEnvelope(envelope)))),
    )
  })
  return outcome
}

/** Forgets nonces of requests that are long expired. */
export function forgetRequests(store: Store, now: number): void {
  store.run('DELETE FROM requests WHERE expires < ?', now - 86_400)
}
