/** Whether a deriver does what clients need: for a load balancer, a supervisor, a person. Needs no key. */
import { readConditions } from './conditions.ts'
import { readWriter } from './lease.ts'
import { type Store } from './store.ts'

/** Seconds without an answer after which a relay counts as not reached: mailboxes are looked at every 15. */
const SILENT = 120

/** One thing that is looked at. */
export interface Check {
  name: 'store' | 'writer' | 'head' | 'root' | 'relay' | 'crl'
  isGood: boolean
  /** What it is about, where there are several: an address, or the first digits of an issuer's key id. */
  of?: string
  /** Seconds: how old it is, or since it was last so. */
  age?: number
  /** Seconds that it is good for. */
  lifetime?: number
  /** The code of what is wrong. */
  code?: string
}

/** What is so. */
export interface Health {
  /** `standby` where another process works and this one waits. */
  status: 'good' | 'standby' | 'failing'
  checks: Check[]
}

/** Whether the store takes a write: a full disk and a file system that turned read-only show only so. */
function checkStore(store: Store): Check {
  try {
    store.transaction(() => store.next('health'))
    return { name: 'store', isGood: true }
  } catch {
    return { name: 'store', isGood: false, code: 'ERR_IO' }
  }
}

function checkHead(store: Store, now: number): Check {
  const head = store.get<{ issued: number; expires: number }>(
    'SELECT issued, expires FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  if (head === undefined) return { name: 'head', isGood: false, code: 'ERR_NOT_FOUND' }
  const { issued, expires } = head
  const isGood = now <= expires
  const times = { age: now - issued, lifetime: expires - issued }
  return { name: 'head', isGood, ...times, ...(isGood ? {} : { code: 'ERR_STALE' }) }
}

/** Looks. `isStandby` says whether this process waits for the lease. `now` in seconds. */
export function readHealth(store: Store, now: number, isStandby = false): Health {
  const wrong = new Map(readConditions(store).map(({ what, code }) => [what, code]))
  const writer = readWriter(store)
  const root = wrong.get('root')
  const relays = store.all<{ url: string; reached: number | null }>(
    'SELECT url, reached FROM relays ORDER BY url',
  )
  const crls = store.all<{ issuer: Uint8Array; next: number }>(
    'SELECT issuer, next_update AS next FROM crls ORDER BY issuer',
  )
  const checks: Check[] = [
    checkStore(store),
    { name: 'writer', isGood: writer !== null, ...(writer !== null && { of: writer.holder }) },
    checkHead(store, now),
    { name: 'root', isGood: root === undefined, ...(root !== undefined && { code: root }) },
    ...relays.map(({ url, reached }): Check => {
      const code = wrong.get(`relay ${url}`) ?? wrong.get(`unknown ${url}`)
      const age = reached === null ? undefined : now - reached
      const isGood = code === undefined && age !== undefined && age <= SILENT
      return {
        name: 'relay',
        of: url,
        isGood,
        ...(age !== undefined && { age }),
        ...(code !== undefined && { code }),
      }
    }),
    ...crls.map(({ issuer, next }): Check => {
      const of = Buffer.from(issuer).toString('hex').slice(0, 16)
      return { name: 'crl', of, isGood: now <= next, lifetime: Math.max(0, next - now) }
    }),
  ]
  // One relay of several may be away: clients ask another one.
  const isBad = (name: Check['name']): boolean => {
    const all = checks.filter((one) => one.name === name)
    return name === 'relay'
      ? all.length > 0 && !all.some((one) => one.isGood)
      : all.some((one) => !one.isGood)
  }
  const names = ['store', 'writer', 'head', 'root', 'relay', 'crl'] as const
  const isFailing = isStandby ? isBad('store') : names.some(isBad)
  return { status: isFailing ? 'failing' : isStandby ? 'standby' : 'good', checks }
}
