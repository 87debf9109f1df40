/** Requests that no rule covers and that wait for an administrator: kept with their key package, at most so many. */
import { type Bytes } from '../shared/bytes.ts'
import { encodeEnvelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyPackage, type KeyRequest } from '../shared/key-package.ts'
import { MAX_PACKAGE_LIFETIME } from '../shared/limits.ts'
import { appendLog } from './log.ts'
import { type Word } from './refusals.ts'
import { changeRules } from './rules.ts'
import { REPEAT } from './refusals.ts'
import { keyringRow } from './rows.ts'
import { type Store } from './store.ts'

/** How many requests are kept, and how many of one device. */
const MAX_PENDING = 1_000
const MAX_PER_DEVICE = 16

/** A row of `pending`. */
export interface PendingRow {
  id: number
  device: Bytes
  keyring: Bytes
  uri: string
  /** The key package's envelope. */
  package: Bytes
  recipient: Bytes
  nonce: Bytes
  /** Seconds. */
  asked: number
  state: 'waiting' | 'approved' | 'denied'
  reason: string
  told: number
}

/** What is said to a client whose request waits, or was decided on; `null` where no more are kept. */
export function standing(
  store: Store,
  device: Bytes,
  keyring: Bytes,
): { kind: 'pending' | 'denied'; reason: string } | null {
  const row = store.get<PendingRow>(
    'SELECT * FROM pending WHERE device = ? AND keyring = ?',
    device,
    keyring,
  )
  if (row?.state === 'denied') return { kind: 'denied', reason: row.reason }
  const waits = { kind: 'pending', reason: 'an administrator has to decide' } as const
  if (row !== undefined) return waits
  const { all, own } = store.get<{ all: number; own: number }>(
    'SELECT count(*) AS "all", coalesce(sum(device = ?), 0) AS own FROM pending',
    device,
  )!
  return all < MAX_PENDING && own < MAX_PER_DEVICE ? waits : null
}

/** Keeps a request, in place of an earlier one of the same device for the same keyring. `refusal` is the hash of the word that it waits. Call it in a transaction. */
export function keepRequest(
  store: Store,
  device: Bytes,
  keyring: Bytes,
  keyPackage: KeyPackage,
  request: KeyRequest,
  refusal: Bytes,
  now: number,
): void {
  const { uri } = request.path
  const recipient = request.body.signer
  appendLog(store, 'request-kept', now, { keyring, device, recipient, refusal, uri })
  store.run(
    `INSERT INTO pending (device, keyring, uri, package, recipient, nonce, asked, state, reason, told) VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', '', 0)
       ON CONFLICT (device, keyring) DO UPDATE SET uri = excluded.uri, package = excluded.package, recipient = excluded.recipient,
         nonce = excluded.nonce, asked = excluded.asked`,
    device,
    keyring,
    uri,
    encodeEnvelope(keyPackage.envelope),
    recipient,
    request.body.nonce,
    now,
  )
}

/** A request as the command line shows it. */
export interface PendingRequest {
  id: number
  uri: string
  keyring: string
  keyId: Bytes
  asked: number
  state: PendingRow['state']
  reason: string
}

/** All requests that are kept, oldest first. */
export function listRequests(store: Store): PendingRequest[] {
  return store
    .all<PendingRow>('SELECT * FROM pending ORDER BY id')
    .map(({ id, uri, keyring, device, asked, state, reason }) => ({
      id,
      uri,
      keyring: keyringRow(store, keyring).name,
      keyId: new Uint8Array(device),
      asked,
      state,
      reason,
    }))
}

function waiting(store: Store, id: number): PendingRow {
  const row = store.get<PendingRow>('SELECT * FROM pending WHERE id = ?', id)
  if (row === undefined) throw new KeyferryError('ERR_NOT_FOUND', `no request ${id}`)
  if (row.state === 'approved') throw new KeyferryError('ERR_EXISTS', `request ${id} was approved`)
  return row
}

/**
 * Approves a request: its URI becomes a rule of the keyring, allowed by the administrator. The service grants it, where the authority's keys are elsewhere after the
 * next catalog. Throws `ERR_NOT_FOUND`, `ERR_EXISTS`.
 */
export function approveRequest(store: Store, id: number, now: number): PendingRequest {
  return store.transaction(() => {
    const { keyring, uri, device } = waiting(store, id)
    appendLog(store, 'request-approved', now, { keyring, device, uri })
    changeRules(store, keyringRow(store, keyring), { add: [uri], allow: [uri] }, now)
    store.run("UPDATE pending SET state = 'approved' WHERE id = ?", id)
    return listRequests(store).find((one) => one.id === id)!
  })
}

/** Denies a request, and those that the same device makes for this keyring in the next 30 days. Throws `ERR_NOT_FOUND`, `ERR_EXISTS`. */
export function denyRequest(store: Store, id: number, reason: string, now: number): void {
  if (reason.length > 300) throw new KeyferryError('ERR_USAGE', 'a reason has 300 characters')
  store.transaction(() => {
    const { keyring, uri, device } = waiting(store, id)
    appendLog(store, 'request-denied', now, { keyring, device, uri, reason })
    store.run(
      "UPDATE pending SET state = 'denied', reason = ?, asked = ?, told = 0 WHERE id = ?",
      reason,
      now,
      id,
    )
  })
}

/** Forgets requests whose package has ended, and denials of 30 days ago. */
export function forgetPending(store: Store, now: number): void {
  store.run('DELETE FROM pending WHERE asked < ?', now - MAX_PACKAGE_LIFETIME)
}

/** Denials that clients have to hear of: each is said once. */
export function dueDenials(store: Store, now: number): { word: Word; isTold: () => void }[] {
  return store
    .all<PendingRow>("SELECT * FROM pending WHERE state = 'denied' AND told = 0")
    .filter(({ asked }) => now < asked + REPEAT)
    .map(({ id, keyring, nonce, reason, recipient }) => ({
      word: { keyring, kind: 'denied', nonce, release: new Uint8Array(), reason, recipient },
      isTold: () => store.run('UPDATE pending SET told = ? WHERE id = ?', now, id),
    }))
}
