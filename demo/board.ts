/**
 * The web app's message board: ciphertext in, ciphertext out. Notes are kept as one line of JSON each; files as bytes on disk that
 * arrive in pieces, so that their size is bounded by the disk alone.
 */
import { randomUUID } from 'node:crypto'
import { appendFileSync, createReadStream, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ReadStream } from 'node:fs'
import { HttpError } from './http.ts'

/** A message as the board keeps it. `sealed` is base64url of a Keyferry message: the note, or the name and type of the file. */
export interface BoardMessage {
  seq: number
  id: string
  from: string
  /** Milliseconds. */
  time: number
  kind: 'note' | 'file'
  sealed: string
  /** Bytes of the file's ciphertext; 0 for a note. */
  size: number
}

/** The form of the ids that senders choose. */
export const ID = /^[0-9a-f-]{36}$/

interface Upload {
  owner: string
  size: number
  busy: boolean
}

/** A board kept in a directory. */
export class Board {
  readonly #directory: string
  readonly #messages: BoardMessage[]
  readonly #uploads = new Map<string, Upload>()

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
    const lines = existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n') : []
    this.#messages = lines
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as BoardMessage)
  }

  get #log(): string {
    return join(this.#directory, 'messages.jsonl')
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.bin`)
  }

  /** Messages after a sequence number. */
  list(after: number): BoardMessage[] {
    return this.#messages.slice(after)
  }

  /** Bytes and messages kept. */
  totals(): { messages: number; bytes: number } {
    const bytes = this.#messages.reduce((sum, one) => sum + one.size + one.sealed.length, 0)
    return { messages: this.#messages.length, bytes }
  }

  /** Adds a message; that of a file has the id of a finished upload of the same sender. Throws 404, 409. */
  add(message: Pick<BoardMessage, 'id' | 'from' | 'kind' | 'sealed'>): BoardMessage {
    if (this.#messages.some(({ id }) => id === message.id))
      throw new HttpError(409, 'EXISTS', 'a message of this id is there already')
    let size = 0
    if (message.kind === 'file') {
      size = this.#upload(message.id, message.from).size
      this.#uploads.delete(message.id)
    }
    const added = { seq: this.#messages.length + 1, time: Date.now(), size, ...message }
    this.#messages.push(added)
    appendFileSync(this.#log, `${JSON.stringify(added)}\n`)
    return added
  }

  /** Begins an upload and returns its id. */
  begin(owner: string): string {
    const id = randomUUID()
    this.#uploads.set(id, { owner, size: 0, busy: false })
    return id
  }

  #upload(id: string, owner: string): Upload {
    const upload = this.#uploads.get(id)
    if (upload?.owner !== owner) throw new HttpError(404, 'NOT_FOUND', 'no such upload')
    return upload
  }

  /** Appends a piece at its place. Throws 404, 409 for a piece out of order. Returns the size so far. */
  async append(
    id: string,
    owner: string,
    offset: number,
    piece: AsyncIterable<Buffer>,
  ): Promise<number> {
    const upload = this.#upload(id, owner)
    if (upload.busy || offset !== upload.size)
      throw new HttpError(409, 'CONFLICT', `the next piece begins at ${upload.size}`)
    upload.busy = true
    const file = await open(this.#path(id), offset === 0 ? 'w' : 'r+')
    try {
      let at = offset
      for await (const part of piece) {
        await file.write(part, 0, part.length, at)
        at += part.length
      }
      upload.size = at
      return at
    } finally {
      upload.busy = false
      await file.close()
    }
  }

  /** Gives up an upload. */
  async drop(id: string, owner: string): Promise<void> {
    this.#upload(id, owner)
    this.#uploads.delete(id)
    await rm(this.#path(id), { force: true })
  }

  /** A file's ciphertext. Throws 404. */
  async read(id: string): Promise<{ stream: ReadStream; size: number }> {
    if (!this.#messages.some((one) => one.id === id && one.kind === 'file'))
      throw new HttpError(404, 'NOT_FOUND', 'no such file')
    const { size } = await stat(this.#path(id))
    return { stream: createReadStream(this.#path(id)), size }
  }
}
