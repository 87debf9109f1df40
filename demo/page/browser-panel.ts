/** "What this browser has": its stored state as it is, and whether the keys in it can be taken out. */
import { type StoredState } from '../../web/store.ts'
import { byId, h, size } from './dom.ts'

interface Held {
  label: string
  detail: string
  tag: string
  tone: 'own' | 'user' | 'bad'
}

/** Tries what a thief of keys would try. */
async function tryExport(key: CryptoKey): Promise<string> {
  for (const format of ['pkcs8', 'raw', 'jwk'] as const) {
    try {
      await crypto.subtle.exportKey(format, key)
      return 'exported'
    } catch {
      // Refused, as it should be; the next format.
    }
  }
  return 'refused'
}

async function keyRow(label: string, key: CryptoKey): Promise<Held> {
  const result = await tryExport(key)
  return {
    label,
    detail: `${key.algorithm.name}, may ${key.usages.join(', ')}; export ${result}`,
    tag: result === 'refused' ? 'Cannot be exported' : 'Exportable',
    tone: result === 'refused' ? 'own' : 'bad',
  }
}

async function rows(state: StoredState): Promise<Held[]> {
  const out: Held[] = []
  const { identity } = state
  if (identity !== null) out.push(await keyRow('Private key of the certificate', identity.key.key))
  for (const { key, channel } of state.packages) {
    for (const [i, part] of key.privateKeys.entries()) {
      const half = key.privateKeys.length > 1 ? ['ML-KEM-768 half', 'X25519 half'][i] : 'key'
      const label = `Decapsulation ${half}`
      if (part instanceof CryptoKey) out.push(await keyRow(label, part))
    }
    const held = channel?.key
    if (held instanceof CryptoKey) out.push(await keyRow('Channel key to the deriver', held))
  }
  const { accepted } = state
  if (accepted !== null) {
    const { head, trust, catalog } = accepted
    const numbers = `trust document ${trust.body.number}, head ${head.version}, catalog ${catalog.body.number}`
    const detail = `${numbers}; never goes back below`
    out.push({ label: 'Highest statements accepted', detail, tag: 'Verified', tone: 'user' })
  }
  for (const { view } of Object.values(state.keyrings)) {
    if (view === null) continue
    const bytes = view.bundle.length + view.manifest.length + view.release.length
    const detail = `key versions wrapped, ${size(bytes)}, under head ${view.head.version}`
    out.push({ label: 'A keyring’s last delivery', detail, tag: 'Verified', tone: 'user' })
  }
  return out
}

/** Draws the panel. `memory` is what stands only in this tab. */
export async function drawBrowser(
  state: StoredState | null,
  memory: { keyrings: number; readable: number },
): Promise<void> {
  const held = state === null ? [] : await rows(state)
  held.push({
    label: 'Message keys in memory',
    detail: `usable, never as bytes; for ${memory.keyrings} keyrings`,
    tag: 'Cannot be exported',
    tone: 'own',
  })
  held.push({
    label: 'Plaintext',
    detail: `${memory.readable} message${memory.readable === 1 ? '' : 's'} readable in this tab`,
    tag: 'Only here',
    tone: 'user',
  })
  const lines = held.map(({ label, detail, tag, tone }) =>
    h(
      'div',
      { class: 'held' },
      h('div', {}, h('b', {}, label), h('small', {}, detail)),
      h('span', { class: `tag ${tone}` }, tag),
    ),
  )
  byId('browser-view').replaceChildren(...lines)
}
