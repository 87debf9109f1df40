/** Further keys that wait for somebody to approve them. */
import { base32, base64url, type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'

/** A key that waits. `expiresAt` is seconds. */
export interface Approval {
  uri: string
  /** Key id, base64url. */
  key: string
  code: string
  isApproved: boolean
  expiresAt: number
}

/** Where they wait, by URI: at most a few each. */
export interface ApprovalStore {
  read(uri: string): Promise<Approval[]>
  write(uri: string, waiting: Approval[]): Promise<void>
}

const LIFETIME = 600
const MOST = 4

/** For one process. */
export function createMemoryApprovals(): ApprovalStore {
  const all = new Map<string, Approval[]>()
  return {
    read: (uri) => Promise.resolve(all.get(uri) ?? []),
    write: (uri, waiting) => {
      if (waiting.length === 0) all.delete(uri)
      else all.set(uri, waiting)
      return Promise.resolve()
    },
  }
}

/** `null` when the key is approved, and then no more; else the code that somebody has to approve. Throws `ERR_QUOTA` when too many wait. */
export async function claimApproval(
  store: ApprovalStore,
  uri: string,
  keyId: Bytes,
  now: number,
): Promise<string | null> {
  const key = base64url(keyId)
  const waiting = (await store.read(uri)).filter((one) => one.expiresAt > now)
  const own = waiting.find((one) => one.key === key)
  if (own?.isApproved === true) {
    await store.write(
      uri,
      waiting.filter((one) => one !== own),
    )
    return null
  }
  if (own !== undefined) return own.code
  if (waiting.length >= MOST) throw new KeyferryError('ERR_QUOTA')
  const text = base32(crypto.getRandomValues(new Uint8Array(5))).toUpperCase()
  const code = `${text.slice(0, 4)}-${text.slice(4)}`
  await store.write(uri, [
    ...waiting,
    { uri, key, code, isApproved: false, expiresAt: now + LIFETIME },
  ])
  return code
}

/**
 * Approves the key that shows this code, for ten minutes from when it first asked. The app calls it for the URI of whoever approves, after a
 * step-up of its own. Throws `ERR_NOT_FOUND`.
 */
export async function approveEnrolment(options: {
  approvals: ApprovalStore
  uri: string
  code: string
  /** Seconds since 1970. */
  now?: number
}): Promise<void> {
  const { approvals, uri, code, now = Date.now() / 1000 } = options
  const waiting = await approvals.read(uri)
  const isIt = (one: Approval): boolean => one.code === code && one.expiresAt > now
  if (!waiting.some(isIt)) throw new KeyferryError('ERR_NOT_FOUND')
  await approvals.write(
    uri,
    waiting.map((one) => (isIt(one) ? { ...one, isApproved: true } : one)),
  )
}
