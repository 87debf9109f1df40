/**
 * What can be done in the console: each by the function that the command of the same name calls, and each written into the log before, with who asked for it.
 */
import { revocationBound } from '../bound.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { CRL_REASONS } from '../../shared/issue.ts'
import { approveRequest, denyRequest } from '../pending.ts'
import { preview } from '../preview.ts'
import { revokeClient, revokeDevice, type Revoked } from '../revocation.ts'
import { planRotation } from '../schedule.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import { rotateKeyring } from '../versions.ts'
import { noteAction, type Caller } from './access.ts'
import { onlyFields, textField } from './http.ts'
import { type RevokedView } from './types.ts'

/** A call that changes something. `id` is the part of the path that names what. */
export interface Order {
  store: Store
  caller: Caller
  id: string
  body: Record<string, unknown>
  now: number
}

export type Action = (order: Order) => unknown

function numberOf(id: string): number {
  if (!/^\d{1,10}$/.test(id)) throw new KeyferryError('ERR_NOT_FOUND', 'a request has a number')
  return Number(id)
}

/** `POST api/requests/ID/approve` */
export const approve: Action = ({ store, caller, id, body, now }) => {
  onlyFields(body)
  const number = numberOf(id)
  noteAction(store, caller, `request approve ${number}`, now)
  const { uri, keyring } = approveRequest(store, number, now)
  return { uri, keyring }
}

/** `POST api/requests/ID/deny` */
export const deny: Action = ({ store, caller, id, body, now }) => {
  onlyFields(body, 'reason')
  const number = numberOf(id)
  const reason = textField(body, 'reason', 300) ?? 'an administrator said no'
  noteAction(store, caller, `request deny ${number}`, now)
  denyRequest(store, number, reason, now)
  return { id: number, reason }
}

/** `POST api/keyrings/NAME/rotate` */
export const rotate: Action = ({ store, caller, id: name, body, now }) => {
  onlyFields(body)
  noteAction(store, caller, `rotate ${name}`, now)
  return { name, version: rotateKeyring(store, name, now) }
}

/** `POST api/keyrings/NAME/schedule`: `at` is seconds, or null for when it would by itself. */
export const schedule: Action = ({ store, caller, id: name, body, now }) => {
  onlyFields(body, 'at')
  const { at } = body
  // What `Date` can say.
  if (at !== null && !(Number.isSafeInteger(at) && Math.abs(at as number) <= 8_640_000_000_000))
    throw new KeyferryError('ERR_SCHEMA', 'at is a time in seconds, or null')
  const time = at as number | null
  const until = time === null ? 'never' : new Date(time * 1000).toISOString()
  noteAction(store, caller, `rotate ${name} --at ${until}`, now)
  return { name, at: planRotation(store, name, time, now) }
}

/** `POST api/clients/revoke`: of a `uri` or a `device`; with `preview` nothing is changed. */
export const revoke: Action = async ({ store, caller, body, now }): Promise<RevokedView> => {
  onlyFields(body, 'uri', 'device', 'reason', 'preview')
  const uri = textField(body, 'uri')
  const device = textField(body, 'device', 64)?.toLowerCase()
  const reason = textField(body, 'reason', 40)
  const isReason = (text: string): text is keyof typeof CRL_REASONS =>
    Object.hasOwn(CRL_REASONS, text)
  if (reason !== undefined && !isReason(reason))
    throw new KeyferryError('ERR_SCHEMA', `reason is one of ${Object.keys(CRL_REASONS).join(', ')}`)
  if ((uri === undefined) === (device === undefined))
    throw new KeyferryError('ERR_SCHEMA', 'one of uri and device is needed')
  if (![undefined, true, false].includes(body['preview'] as boolean | undefined))
    throw new KeyferryError('ERR_SCHEMA', 'preview is true or false')
  const isPreview = body['preview'] === true
  const work = (on: Store): Revoked =>
    uri === undefined ? revokeDevice(on, device!, now, reason) : revokeClient(on, uri, now, reason)
  const { direct } = revocationBound(store, await newestTrust(store), now)
  if (isPreview) return { ...preview(store, work), until: now + direct, isPreview }
  noteAction(store, caller, `client revoke ${uri ?? `--device ${device}`}`, now)
  return { ...work(store), until: now + direct, isPreview }
}
