/** Files of any size: encrypted and sent in pieces, fetched and decrypted into a file that is given out only when it is whole. */
import { type Server } from './api.ts'

type Bytes = Uint8Array<ArrayBuffer>
/** A stream turned into another one. */
export type Through = (stream: ReadableStream<Bytes>) => ReadableStream<Bytes>
/** Bytes done so far. */
export type Progress = (done: number) => void

/** Bytes of a call to the web server, and of a write to the browser's file system. */
const PIECE = 4 * 1024 * 1024
const WRITE = 512 * 1024

/** Counts what flows through. */
function counted(progress: Progress): TransformStream<Bytes, Bytes> {
  let done = 0
  return new TransformStream({
    transform(piece, controller) {
      done += piece.length
      progress(done)
      controller.enqueue(piece)
    },
  })
}

/** Joins small pieces to larger ones: each write to a file costs a call to another process. */
function gathered(length: number): TransformStream<Bytes, Bytes> {
  let buffer = new Uint8Array(length)
  let filled = 0
  return new TransformStream({
    transform(piece, controller) {
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + length - filled)
        buffer.set(part, filled)
        filled += part.length
        at += part.length
        if (filled < length) continue
        controller.enqueue(buffer)
        buffer = new Uint8Array(length)
        filled = 0
      }
    },
    flush(controller) {
      if (filled > 0) controller.enqueue(buffer.subarray(0, filled))
    },
  })
}

/** Uploads what `encrypt` makes of a file. Nothing of it is kept in memory but one piece. */
export async function sendFile(
  server: Server,
  id: string,
  file: File,
  encrypt: Through,
  progress: Progress,
): Promise<void> {
  const plain = (file.stream() as ReadableStream<Bytes>).pipeThrough(counted(progress))
  let parts: Bytes[] = []
  let length = 0
  let sent = 0
  const flush = async (): Promise<void> => {
    await server.appendFile(id, sent, new Blob(parts))
    sent += length
    parts = []
    length = 0
  }
  try {
    const sealed = encrypt(plain).getReader()
    for (let next = await sealed.read(); !next.done; next = await sealed.read()) {
      parts.push(next.value)
      length += next.value.length
      if (length >= PIECE) await flush()
    }
    await flush()
  } catch (error) {
    await server.dropFile(id).catch(() => {})
    throw error
  }
}

/** Where a decrypted file goes: the browser's private file system where there is one, else memory. */
async function openSink(id: string): Promise<{
  writable: WritableStream<Bytes>
  finish: (type: string) => Promise<Blob>
}> {
  try {
    const folder = await navigator.storage.getDirectory()
    const handle = await folder.getFileHandle(`decrypted-${id}`, { create: true })
    const writable = await handle.createWritable()
    return { writable, finish: () => handle.getFile() }
  } catch {
    const parts: Bytes[] = []
    const writable = new WritableStream<Bytes>({ write: (piece) => void parts.push(piece) })
    return { writable, finish: (type) => Promise.resolve(new Blob(parts, { type })) }
  }
}

/** Fetches and decrypts a file. Resolves only when all of it was authentic. */
export async function fetchFile(
  server: Server,
  id: string,
  type: string,
  decrypt: Through,
  progress: Progress,
): Promise<Blob> {
  const { writable, finish } = await openSink(id)
  const sealed = (await server.readFile(id)).pipeThrough(counted(progress))
  await decrypt(sealed).pipeThrough(gathered(WRITE)).pipeTo(writable)
  return finish(type)
}

/** Removes the decrypted files of an earlier visit. */
export async function clearDecrypted(): Promise<void> {
  try {
    const folder = await navigator.storage.getDirectory()
    const names: string[] = []
    for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) {
      if (name.startsWith('decrypted-')) names.push(name)
    }
    for (const name of names) await folder.removeEntry(name)
  } catch {
    // Nothing is kept where there is no such file system.
  }
}

/** Hands a file to the user. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
