/** The console's API by method and path (docs/console.md). What is here, the page uses; what it is not, nobody can do. */
import { KeyferryError } from '../../shared/errors.ts'
import { type Store } from '../store.ts'
import { approve, deny, revoke, rotate, schedule, type Action } from './actions.ts'
import { MAX_ENTRIES, readEntries } from './log-view.ts'
import { clientViews, keyringViews, overview, requestViews } from './views.ts'
import { visibleToRelay } from './visible.ts'

/** A call that reads. */
export interface Look {
  store: Store
  query: URLSearchParams
  now: number
}

function numberIn(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name)
  if (text === null) return otherwise
  if (!/^\d{1,15}$/.test(text)) throw new KeyferryError('ERR_SCHEMA', `${name} is a number`)
  return Number(text)
}

/** `GET api/…` */
export const LOOKS: Readonly<Record<string, (look: Look) => unknown>> = {
  overview: ({ store, now }) => overview(store, now),
  keyrings: ({ store, now }) => keyringViews(store, now),
  clients: ({ store }) => clientViews(store),
  requests: ({ store }) => requestViews(store),
  log: ({ store, query }) =>
    readEntries(
      store,
      numberIn(query, 'before', Number.MAX_SAFE_INTEGER),
      numberIn(query, 'limit', MAX_ENTRIES),
    ),
  relay: ({ store }) => visibleToRelay(store),
}

/** `POST api/…`, `*` for what is named in the path. */
const ORDERS: Readonly<Record<string, Action>> = {
  'requests/*/approve': approve,
  'requests/*/deny': deny,
  'keyrings/*/rotate': rotate,
  'keyrings/*/schedule': schedule,
  'clients/revoke': revoke,
}

/** The action of a path below `api/`, with what it names; `null` where there is none. */
export function findOrder(path: string): { action: Action; id: string } | null {
  const parts = path.split('/')
  const name = parts.length === 3 ? `${parts[0]}/*/${parts[2]}` : path
  const action = Object.hasOwn(ORDERS, name) ? ORDERS[name] : undefined
  if (action === undefined) return null
  try {
    return { action, id: decodeURIComponent(parts.length === 3 ? parts[1]! : '') }
  } catch {
    return null
  }
}
