/** The console's page: who is there, which view is shown, and when it is drawn anew. */
import { type SessionView } from '../types.ts'
import { ApiError, get, listen, login, logout } from './api.ts'
import { drawClients } from './clients.ts'
import { byId, h, span } from './dom.ts'
import { drawKeyrings } from './keyrings.ts'
import { drawLog } from './log.ts'
import { drawOverview } from './overview.ts'
import { drawRelay } from './relay.ts'
import { drawRequests } from './requests.ts'

interface View {
  title: string
  draw: (again: () => void) => Promise<HTMLElement[]>
}

const VIEWS: Record<string, View> = {
  overview: { title: 'Overview', draw: drawOverview },
  keyrings: { title: 'Keyrings', draw: drawKeyrings },
  clients: { title: 'Clients', draw: drawClients },
  requests: { title: 'Requests', draw: drawRequests },
  log: { title: 'Log', draw: drawLog },
  relay: { title: 'What the relay knows', draw: drawRelay },
}
/** Milliseconds after which what is shown is drawn anew although nothing changed: ages grow. */
const REDRAW = 10_000

let name = 'overview'
let drawing: Promise<void> | null = null
let isDirty = false
let stop = new AbortController()

function show(screen: 'login' | 'app'): void {
  byId('login').hidden = screen !== 'login'
  byId('app').hidden = screen !== 'app'
}

function leave(message: string, isProblem = true): void {
  stop.abort()
  show('login')
  byId('login-problem').textContent = message
  byId('login-problem').className = isProblem ? 'error' : 'notice'
  byId('login-problem').hidden = message === ''
  document.title = 'Keyferry console'
}

/** Puts the focus back, and opens again what was open, after a view was drawn anew. */
function keepPlace(main: HTMLElement, draw: () => void): void {
  const key = (document.activeElement as HTMLElement | null)?.dataset['key']
  const open = [...main.querySelectorAll<HTMLElement>('details[open] > summary')].map(
    ({ dataset }) => dataset['key'],
  )
  draw()
  for (const summary of main.querySelectorAll<HTMLElement>('summary'))
    if (open.includes(summary.dataset['key'])) summary.parentElement!.setAttribute('open', '')
  if (key === undefined) return
  for (const element of main.querySelectorAll<HTMLElement>('[data-key]'))
    if (element.dataset['key'] === key) element.focus()
}

async function drawOnce(): Promise<void> {
  const { draw } = VIEWS[name]!
  const asked = name
  const main = byId('view')
  try {
    const parts = await draw(redraw)
    if (asked !== name) return redraw()
    keepPlace(main, () => main.replaceChildren(...parts))
    main.dataset['drawn'] = name
    const { counts } = await get<{ counts: { waiting: number } }>('overview')
    byId('waiting').textContent = counts.waiting === 0 ? '' : String(counts.waiting)
  } catch (error) {
    if (error instanceof ApiError && error.code === 'ERR_UNAUTHORIZED')
      return leave('The session has ended. A new link opens another one.', false)
    main.replaceChildren(h('p', { class: 'error', role: 'alert' }, (error as Error).message))
  }
}

/** Draws the view; a call while it is being drawn draws it once more afterwards. */
function redraw(): void {
  if (drawing !== null) {
    isDirty = true
    return
  }
  drawing = drawOnce().finally(() => {
    drawing = null
    if (!isDirty) return
    isDirty = false
    redraw()
  })
}

function go(): void {
  const asked = location.hash.replace(/^#\//, '')
  name = Object.hasOwn(VIEWS, asked) ? asked : 'overview'
  const { title } = VIEWS[name]!
  document.title = `${title} · Keyferry console`
  byId('title').textContent = title
  for (const link of document.querySelectorAll<HTMLAnchorElement>('nav a')) {
    if (link.getAttribute('href') === `#/${name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  byId('view').replaceChildren(h('p', { class: 'fine' }, 'Loading …'))
  redraw()
}

function enter({ name: who, ends }: SessionView): void {
  byId('who').textContent = who
  byId('ends').textContent = `at most ${span(ends - Date.now() / 1000)} more`
  show('app')
  stop = new AbortController()
  const { signal } = stop
  const live = byId('live')
  void listen(signal, redraw, (isOpen) => {
    live.dataset['state'] = isOpen ? 'ready' : 'bad'
    byId('live-text').textContent = isOpen ? 'Live' : 'Not connected'
  })
  const timer = setInterval(redraw, REDRAW)
  signal.addEventListener('abort', () => clearInterval(timer))
  go()
  byId('title').focus()
}

async function start(): Promise<void> {
  const [, token] = /^#login=([\w-]+)$/.exec(location.hash) ?? []
  try {
    // Out of the address, and so out of what the browser remembers, before it is used.
    if (token !== undefined) history.replaceState(null, '', location.pathname)
    enter(token === undefined ? await get<SessionView>('session') : await login(token))
  } catch (error) {
    const isNew = token === undefined && error instanceof ApiError
    leave(isNew ? '' : (error as Error).message)
  }
}

addEventListener('hashchange', () => {
  if (location.hash.startsWith('#login=')) void start()
  else if (!byId('app').hidden) {
    go()
    byId('title').focus()
  }
})
byId('skip').addEventListener('click', (event) => {
  // The address says which view is shown.
  event.preventDefault()
  byId('title').focus()
})
byId('logout').addEventListener('click', () => {
  void logout().then(() => leave('You are logged out.', false))
})
byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const text = byId<HTMLInputElement>('token').value.trim()
  byId<HTMLInputElement>('token').value = ''
  login(text.slice(text.indexOf('=') + 1)).then(enter, (error: unknown) =>
    leave((error as Error).message),
  )
})
void start()
