/** "What the relay stores": its database by kind of value, and a search through every byte of it. */
import { type RelayView, type SeenValue, type Server } from './api.ts'
import { byId, h, setText, size } from './dom.ts'

/** Releases, manifests and trees stand by their hash under a signed head or catalog. */
type Nature = 'Signed statement' | 'Under a signature' | 'Ciphertext' | 'Unknown'

const KINDS: Record<string, { label: string; nature: Nature }> = {
  'trust document': { label: 'Trust document', nature: 'Signed statement' },
  head: { label: 'Head', nature: 'Signed statement' },
  catalog: { label: 'Catalog', nature: 'Signed statement' },
  refusal: { label: 'Refusal', nature: 'Signed statement' },
  'key package': { label: 'Key package', nature: 'Signed statement' },
  'key request': { label: 'Key request', nature: 'Signed statement' },
  'revocation list': { label: 'Revocation list', nature: 'Signed statement' },
  release: { label: 'Release', nature: 'Under a signature' },
  manifest: { label: 'Manifest', nature: 'Under a signature' },
  welcome: { label: 'Welcome: a device’s channel key, sealed', nature: 'Ciphertext' },
  bundle: { label: 'Bundle: key versions, wrapped', nature: 'Ciphertext' },
  'tree page': { label: 'Tree page: hashes, wrapped cells', nature: 'Ciphertext' },
  'tree index': { label: 'Tree index: hashes', nature: 'Under a signature' },
}

const TONES: Record<Nature, string> = {
  'Signed statement': 'own',
  Ciphertext: 'user',
  'Under a signature': 'own',
  Unknown: 'bad',
}

/** What was open stays open when the panel is drawn again. */
const opened = new Set<string>()
let drawn = ''

function groupHex(text: string): string {
  return (text.match(/.{1,4}/g) ?? []).join(' ')
}

function valueOf(value: SeenValue, table: string): HTMLElement {
  return h(
    'div',
    { class: 'value' },
    h('p', {}, h('span', {}, `${table}.${value.column}`), h('span', {}, size(value.bytes))),
    h(
      'pre',
      { class: 'hex' },
      `${groupHex(value.hex)}${value.bytes * 2 > value.hex.length ? ' …' : ''}`,
    ),
    value.claims === undefined ? null : h('pre', {}, JSON.stringify(value.claims, null, 2)),
  )
}

function drawKind(
  view: RelayView,
  { kind, count, bytes }: RelayView['kinds'][number],
): HTMLElement {
  const known = KINDS[kind]
  const all = view.tables.flatMap(({ name, sample }) =>
    sample.flatMap(({ values }) =>
      values.filter((value) => value.kind === kind).map((value) => ({ name, value })),
    ),
  )
  const nature = known?.nature ?? 'Unknown'
  const label = `${known?.label ?? kind}${count > 1 ? ` × ${count}` : ''}`
  const details = h(
    'details',
    { class: 'kind', open: opened.has(kind) },
    h(
      'summary',
      {},
      h('span', {}, label),
      h('span', { class: `tag ${TONES[nature]}` }, nature),
      h('span', { class: 'size' }, size(bytes)),
    ),
    h(
      'div',
      { class: 'values' },
      ...all
        .slice(-6)
        .toReversed()
        .map((one) => valueOf(one.value, one.name)),
    ),
  )
  details.addEventListener('toggle', () => {
    if (details.open) opened.add(kind)
    else opened.delete(kind)
  })
  return details
}

/** Draws the panel again if the database is another one. */
export async function drawRelay(server: Server): Promise<void> {
  const view = await server.relayView()
  const text = JSON.stringify(view)
  if (text === drawn) return
  drawn = text
  const values = view.kinds.reduce((sum, { count }) => sum + count, 0)
  const head = view.tables.find(({ name }) => name === 'current')?.sample[0]?.plain['version']
  setText('relay-head', String(head ?? '–'))
  setText('relay-values', String(values))
  setText('relay-bytes', size(view.kinds.reduce((sum, { bytes }) => sum + bytes, 0)))
  byId('relay-view').replaceChildren(...view.kinds.map((kind) => drawKind(view, kind)))
}

function occurrences(data: Uint8Array, needle: Uint8Array): number {
  let count = 0
  for (let at = data.indexOf(needle[0]!); at >= 0; at = data.indexOf(needle[0]!, at + 1)) {
    if (needle.every((byte, i) => data[at + i] === byte)) count++
  }
  return count
}

/** The parts of a text's base64 and base64url that do not depend on what stands around it, at all three alignments. */
function encoded(text: Uint8Array): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const padded = new Uint8Array(shift + text.length)
    padded.set(text, shift)
    const base64 = btoa(String.fromCharCode(...padded))
    const first = Math.ceil((shift * 8) / 6)
    const last = Math.floor((padded.length * 8) / 6)
    const part = base64.slice(first, last)
    return [...new Set([part, part.replaceAll('+', '-').replaceAll('/', '_')])]
  })
}

/** Searches the relay's database in this page: what is searched for is sent to nobody. */
async function search(server: Server, text: string): Promise<void> {
  const needle = new TextEncoder().encode(text)
  if (needle.length < 4) {
    setText('found', 'Search for at least four characters.')
    return
  }
  setText('found', 'Searching …')
  const data = await server.relayDump()
  const encoder = new TextEncoder()
  const count = [needle, ...encoded(needle).map((part) => encoder.encode(part))]
    .map((one) => occurrences(data, one))
    .reduce((sum, one) => sum + one, 0)
  const found = count === 0 ? 'Not found' : count === 1 ? 'Found once' : `Found ${count} times`
  setText('found', `${found} in ${size(data.length)}, as text and in base64.`)
}

/** Sets the search up. `suggest` gives what is worth searching for. */
export function startSearch(
  server: Server,
  suggest: () => { label: string; text: string }[],
): () => void {
  const needle = byId<HTMLInputElement>('needle')
  const run = (): void => {
    search(server, needle.value).catch(() => setText('found', 'The database could not be read.'))
  }
  byId('search').addEventListener('submit', (event) => {
    event.preventDefault()
    run()
  })
  return () => {
    const buttons = suggest().map(({ label, text }) =>
      h(
        'button',
        {
          type: 'button',
          class: 'button small',
          onclick: () => {
            needle.value = text
            run()
          },
        },
        label,
      ),
    )
    byId('suggestions').replaceChildren(...buttons)
  }
}
