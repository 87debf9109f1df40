/** The page: signs in, becomes a client, and keeps every panel up to date. */
import { Server, type State } from './api.ts'
import { drawBrowser } from './browser-panel.ts'
import { connectClient, type Client } from './client.ts'
import { codeOf, explain } from './codes.ts'
import { startCompose } from './compose.ts'
import { avatar, byId, h, setText, title } from './dom.ts'
import { InsiderPanel } from './insider.ts'
import { Messages } from './messages.ts'
import { drawDeriver, drawIdentity, drawKeyrings, drawPeople, say } from './panels.ts'
import { drawRelay, startSearch } from './relay-panel.ts'
import { clearDecrypted } from './transfer.ts'

const REVOKED =
  'Acme revoked this device: it gets no new keys. What it could read before, it still can.'
const STALE =
  'The newest head that the relay shows is past its end: nothing is encrypted until a fresh one comes.'
const PEOPLE = ['ada', 'ben', 'carol', 'dan', 'eve']

function nameOfPage(): string {
  const asked = new URLSearchParams(location.search).get('as') ?? 'ada'
  return /^[a-z]{2,16}$/.test(asked) ? asked : 'ada'
}

/** Runs work one at a time; calls during a run lead to one more. */
function single(work: () => Promise<void>): () => void {
  let running = false
  let again = false
  const run = async (): Promise<void> => {
    running = true
    do {
      again = false
      // What fails is tried again with the next piece of news.
      await work().catch((error: unknown) => {
        const isNetwork = error instanceof TypeError
        say('bad', isNetwork ? 'Acme’s web app does not answer.' : explain(error))
      })
    } while (again)
    running = false
  }
  return () => {
    if (running) again = true
    else void run()
  }
}

function drawOther(name: string, state: State): void {
  const other = PEOPLE.find((one) => one !== name && !state.revoked.includes(one)) ?? 'zoe'
  const link = byId<HTMLAnchorElement>('other-tab')
  link.href = `/?as=${other}`
  link.textContent = `Open ${title(other)}’s tab`
}

const tell = (error: unknown): void => say('bad', `${explain(error)} (${codeOf(error)})`)

/** Leads on to a name that no browser has a key of, where this one has one elsewhere. Throws every other error. */
async function leadOn(server: Server, error: unknown): Promise<null> {
  if (codeOf(error) !== 'ERR_NEW_KEY') throw error
  tell(error)
  const { status } = await server.state()
  const taken = status.devices.map(({ uri }) => uri.split('/').at(-1))
  const free = ['cleo', ...PEOPLE].find((one) => !taken.includes(one)) ?? 'zoe'
  byId('status-text').append(' ', h('a', { href: `/?as=${free}` }, `Go on as ${title(free)}`))
  return null
}

async function main(): Promise<void> {
  const name = nameOfPage()
  document.title = `${title(name)} · Keyferry demo`
  setText('who-name', title(name))
  byId('who-initial').replaceWith(avatar(name, 'avatar small'))
  const server = new Server(name)
  say('busy', 'Signing in with Acme …')
  await server.signIn()
  await clearDecrypted()

  const joined = await connectClient({
    server,
    name,
    say: (text) => say('busy', text),
  }).catch((error: unknown) => leadOn(server, error))
  if (joined === null) return
  const client: Client = joined
  drawIdentity(client.identity)
  const messages = new Messages(server, client, name)
  let revoked = false

  const redrawSearch = startSearch(server, () => [
    ...(messages.lastText === ''
      ? []
      : [{ label: 'Your last note', text: messages.lastText.slice(0, 200) }]),
    { label: 'A keyring’s name', text: 'notes' },
    { label: 'The name in your certificate', text: client.identity.uri },
  ])

  function drawClient(): void {
    const rings = client.keyrings()
    drawKeyrings(rings)
    setText('browser-keyrings', String(rings.filter(({ version }) => version > 0).length))
    setText('browser-head', client.head === 0 ? '–' : String(client.head))
    setText('browser-first', client.firstKey === null ? '–' : `${Math.round(client.firstKey)} ms`)
    const bad = rings.find(({ state }) => !['ready', 'offline', 'pending'].includes(state))
    const { failure } = client
    if (revoked) say('bad', REVOKED)
    else if (failure !== null) say('bad', `${failure.text} (${failure.code})`)
    else if (bad?.state === 'stale') say('bad', STALE)
    else if (bad !== undefined) say('bad', `The keyring ${bad.name} is ${bad.state}.`)
    else if (rings.every(({ state }) => state === 'ready'))
      say('ready', 'Every statement verified. Keys are ready in this browser.')
    else say('busy', 'Waiting for the keys from Acme’s deriver …')
  }

  const drawHeld = single(async () => {
    await drawBrowser(await client.stored(), {
      keyrings: client.keyrings().filter(({ version }) => version > 0).length,
      readable: messages.readable,
    })
  })
  const refreshState = single(async () => {
    const state = await server.state()
    revoked = state.revoked.includes(name)
    drawDeriver(state)
    byId<HTMLButtonElement>('rotate').disabled = revoked
    if (revoked) {
      byId<HTMLButtonElement>('send').disabled = true
      byId<HTMLInputElement>('file').disabled = true
    }
    drawPeople(state, (other) => {
      server.revoke(other).catch((error: unknown) => say('bad', explain(error)))
    })
    drawOther(name, state)
    drawClient()
    await drawRelay(server)
  })
  let isOpen = false
  const refreshMessages = single(async () => {
    if (!isOpen) return
    await messages.load()
    redrawSearch()
    drawHeld()
  })
  const refreshClient = single(async () => {
    await client.stored()
    drawClient()
    await messages.retry()
    drawHeld()
  })

  const insider = new InsiderPanel({
    server,
    client,
    messages,
    name,
    isRevoked: () => revoked,
    fail: (error) => say('bad', explain(error)),
  })
  const refreshInsider = single(() => insider.news())

  client.onChange(refreshClient)
  startCompose(messages)
  // Before there is a client they would do nothing.
  for (const id of ['send', 'file', 'rotate'])
    byId<HTMLButtonElement | HTMLInputElement>(id).disabled = false
  byId('rotate').addEventListener('click', () => {
    server.rotate().catch((error: unknown) => say('bad', explain(error)))
  })
  server.listen((topic) => {
    if (topic === 'messages') refreshMessages()
    else if (topic === 'insider') refreshInsider()
    else refreshState()
  })
  void insider.watch()
  // The relay's database also changes without the deriver: key requests arrive in its mailbox.
  setInterval(refreshState, 5_000)
  redrawSearch()
  refreshClient()
  await client.open()
  isOpen = true
  refreshClient()
  refreshMessages()
}

main().catch(tell)
