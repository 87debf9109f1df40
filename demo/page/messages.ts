/** The message list: every message shows its ciphertext, and the text or file that this browser made of it, or why it could not. */
import { base64url, fromBase64url } from '../../shared/bytes.ts'
import { type BoardMessage, type Server } from './api.ts'
import { type Client } from './client.ts'
import { codeOf, explain } from './codes.ts'
import { avatar, byId, clock, h, size, title } from './dom.ts'
import { fetchFile, save, sendFile, type Progress } from './transfer.ts'

/** Name and type of a file; travels encrypted like the file itself. */
interface FileFacts {
  name: string
  type: string
  size: number
}

type Reading =
  | { state: 'busy' }
  | { state: 'text'; text: string }
  | { state: 'file'; file: FileFacts }
  | { state: 'unreadable'; code: string; sentence: string }

interface Shown {
  message: BoardMessage
  reading: Reading
  body: HTMLElement
}

/** What a ciphertext is bound to: it opens only as this message of this sender. */
const contextOf = (part: string, from: string, id: string): string => `demo/${part}/${from}/${id}`

const randomId = (): string => crypto.randomUUID()

/** The board as one identity sees it. */
export class Messages {
  readonly #server: Server
  readonly #client: Client
  readonly #name: string
  readonly #shown: Shown[] = []
  #loading: Promise<void> = Promise.resolve()
  /** The newest text that this browser wrote or read. */
  lastText = ''

  constructor(server: Server, client: Client, name: string) {
    this.#server = server
    this.#client = client
    this.#name = name
  }

  get count(): number {
    return this.#shown.length
  }

  get readable(): number {
    return this.#shown.filter(({ reading }) => 'text file'.includes(reading.state)).length
  }

  /** Fetches and reads what is new, one call after the other. */
  load(): Promise<void> {
    this.#loading = this.#loading.catch(() => {}).then(() => this.#load())
    return this.#loading
  }

  /** Tries again to read what could not be read. */
  async retry(): Promise<void> {
    for (const shown of this.#shown) {
      if (shown.reading.state === 'unreadable') await this.#read(shown, false)
    }
  }

  /** Decrypts every note and name of a file that this page shows once more. Returns how many of them could be. */
  async check(): Promise<{ opened: number; of: number }> {
    const known = this.#shown.filter(({ reading }) => 'text file'.includes(reading.state))
    let opened = 0
    for (const { message } of known) {
      const text = await this.#open(message, false).catch(() => null)
      if (text !== null) opened++
    }
    return { opened, of: known.length }
  }

  async sendNote(text: string): Promise<void> {
    const id = randomId()
    const context = contextOf('note', this.#name, id)
    const sealed = await this.#client.encrypt('notes', text, context)
    await this.#server.post({ kind: 'note', id, sealed: base64url(sealed) })
    await this.load()
  }

  async sendFile(file: File, progress: Progress): Promise<void> {
    const id = await this.#server.beginFile()
    const { name, type } = file
    const facts = JSON.stringify({ name, type, size: file.size } satisfies FileFacts)
    const content = contextOf('file-content', this.#name, id)
    await sendFile(this.#server, id, file, this.#client.encryptThrough('files', content), progress)
    const sealed = await this.#client.encrypt('files', facts, contextOf('file', this.#name, id))
    await this.#server.post({ kind: 'file', id, sealed: base64url(sealed) })
    await this.load()
  }

  async #load(): Promise<void> {
    for (const message of await this.#server.messages(this.#shown.at(-1)?.message.seq ?? 0)) {
      const body = h('div', { class: 'message-body' })
      const shown: Shown = { message, reading: { state: 'busy' }, body }
      this.#shown.push(shown)
      byId('list').prepend(this.#item(shown))
      byId('empty').hidden = true
      await this.#read(shown, true)
    }
  }

  #open({ kind, from, id, sealed }: BoardMessage, ask: boolean): Promise<string> {
    const keyring = kind === 'note' ? 'notes' : 'files'
    return this.#client.decrypt(keyring, fromBase64url(sealed), contextOf(kind, from, id), ask)
  }

  async #read(shown: Shown, ask: boolean): Promise<void> {
    const { kind } = shown.message
    try {
      const text = await this.#open(shown.message, ask)
      if (kind === 'note') this.lastText = text
      shown.reading =
        kind === 'note'
          ? { state: 'text', text }
          : { state: 'file', file: JSON.parse(text) as FileFacts }
    } catch (error) {
      shown.reading = { state: 'unreadable', code: codeOf(error), sentence: explain(error) }
    }
    this.#draw(shown)
  }

  #item({ message, body }: Shown): HTMLElement {
    const { from, time, kind, id } = message
    const head = h(
      'div',
      { class: 'message-head' },
      h('b', {}, from === this.#name ? `${title(from)} (you)` : title(from)),
      h('time', { datetime: new Date(time).toISOString() }, clock(time)),
    )
    return h('li', { class: 'message', 'data-id': id, 'data-kind': kind }, avatar(from), head, body)
  }

  #draw({ message, reading, body }: Shown): void {
    body.dataset['state'] = reading.state
    const parts: HTMLElement[] = []
    if (reading.state === 'text') parts.push(h('p', { class: 'message-text' }, reading.text))
    if (reading.state === 'file') parts.push(this.#fileBox(message, reading.file))
    if (reading.state === 'unreadable') {
      const { code, sentence } = reading
      parts.push(
        h(
          'div',
          { class: 'unread' },
          h('b', {}, 'This device cannot read it'),
          h('span', {}, sentence),
          h('span', { class: 'code' }, code),
        ),
      )
    }
    body.replaceChildren(...parts, this.#sealedLine(message))
  }

  #sealedLine({ sealed, size: fileSize }: BoardMessage): HTMLElement {
    const bytes = fromBase64url(sealed)
    const keyId = base64url(bytes.subarray(8, 40)).slice(0, 8)
    return h(
      'p',
      { class: 'sealed', title: 'What the web server keeps' },
      h('span', {}, `key ${keyId}`),
      h('span', { class: 'mono' }, sealed.slice(56, 200)),
      h('span', {}, fileSize > 0 ? size(fileSize) : size(bytes.length)),
    )
  }

  #fileBox({ id, from }: BoardMessage, file: FileFacts): HTMLElement {
    const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Decrypting' })
    const label = h('span', {}, 'Decrypting …')
    const progress = h('div', { class: 'progress' }, label, bar)
    progress.hidden = true
    const button = h('button', { type: 'button', class: 'button small' }, 'Decrypt and save')
    const fetchIt = async (): Promise<void> => {
      button.disabled = true
      progress.hidden = false
      label.textContent = 'Decrypting …'
      try {
        const decrypt = this.#client.decryptThrough('files', contextOf('file-content', from, id))
        const blob = await fetchFile(this.#server, id, file.type, decrypt, (done) => {
          bar.value = Math.min(1, done / Math.max(1, file.size))
        })
        save(blob, file.name)
        label.textContent = 'Decrypted; every byte was authentic.'
      } catch (error) {
        label.textContent = `${explain(error)} (${codeOf(error)})`
      } finally {
        button.disabled = false
      }
    }
    button.addEventListener('click', () => void fetchIt())
    const name = h('span', { class: 'file-name' }, file.name)
    const length = h('span', { class: 'muted' }, size(file.size))
    return h('div', { class: 'file-box' }, name, length, button, progress)
  }
}
