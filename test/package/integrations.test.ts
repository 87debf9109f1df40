/** examples/drizzle, examples/migration, examples/s3 and examples/react with a real tenant; and examples/client.ts out of the tarball. */
import { execFile } from 'node:child_process'
import { cpSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { chromium as playwright } from 'playwright-core'
import { createElement, StrictMode } from 'react'
import { renderToString } from 'react-dom/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rotateKeyring } from '../../deriver/index.ts'
import { openNotes } from '../../examples/drizzle/notes.ts'
import { moveRow, readRow, type Row } from '../../examples/migration/envelopes.ts'
import { moveText, readText } from '../../examples/migration/use-domains.ts'
import { Note } from '../../examples/react/note.tsx'
import { getObject, getRange, messageLength, putObject } from '../../examples/s3/objects.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { ROOT } from '../../tools/package/build.ts'
import { connect, createMemoryStore, type Keyferry, type Keyring } from '../../web/index.ts'
import { identityFromPem } from '../../web/node.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { blocksOf, installPackage, packInto } from '../lib/consumer.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { startObjectStore, type ObjectStore } from '../lib/object-store.ts'

let app: Server
let origin: string
let acme: Acme
let keyferry: Keyferry
let keyring: Keyring
beforeAll(async () => {
  app = createServer()
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
  acme = await startAcme([origin])
  const tenant = join(acme.directory, 'keyferry')
  await writeClientFiles(acme.directory, tenant, acme.deriver)
  const [key, certificate] = ['me.key', 'me.pem'].map((name) =>
    readFileSync(join(acme.directory, name), 'utf8'),
  )
  const identity = await identityFromPem(key!, certificate!)
  keyferry = await connect({ config: acme.config, identity, store: createMemoryStore() })
  keyring = await keyferry.keyring('notes')
})
afterAll(async () => {
  keyferry?.close()
  app?.close()
  await acme?.close()
})

it('examples/client.ts runs with the tarball in somebody else’s project', async () => {
  const project = join(acme.directory, 'project')
  installPackage(project, packInto(join(acme.directory, 'packed')))
  cpSync(join(ROOT, 'examples/client.ts'), join(project, 'client.ts'))
  await writeClientFiles(project, join(acme.directory, 'keyferry'), acme.deriver)
  const { stdout } = await promisify(execFile)(process.execPath, ['client.ts'], {
    cwd: project,
    timeout: 30_000,
  })
  expect(stdout).toBe('Hello\n')
})

describe('migration', () => {
  it('is what docs/migration.md shows', () => {
    const source = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
    expect(blocksOf(source('docs/migration.md'), 'ts')).toEqual(
      ['envelopes', 'use-domains'].map((name) => source(`examples/migration/${name}.ts`)),
    )
  })

  /** A KMS of our own: wraps data keys under a key that it keeps. */
  async function makeKms() {
    const aes = (bytes: Uint8Array<ArrayBuffer>) =>
      crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt'])
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const own = await aes(random(32))
    let calls = 0
    return {
      calls: () => calls,
      async seal(id: string, text: string): Promise<Row> {
        const [dataKey, iv] = [random(32), random(12)]
        const seal = async (key: CryptoKey, data: Uint8Array<ArrayBuffer>) =>
          new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, data))
        const wrappedKey = new Uint8Array([...iv, ...(await seal(own, dataKey))])
        const ciphertext = await seal(await aes(dataKey), new TextEncoder().encode(text))
        return { id, envelope: { wrappedKey, iv, ciphertext }, message: null }
      },
      unwrap: async (wrapped: Uint8Array<ArrayBuffer>) => {
        calls++
        const algorithm = { name: 'AES-GCM', iv: wrapped.slice(0, 12) }
        return new Uint8Array(await crypto.subtle.decrypt(algorithm, own, wrapped.slice(12)))
      },
    }
  }

  it('envelopes become messages, are read before and after, and then need no KMS', async () => {
    const kms = await makeKms()
    const row = await kms.seal('17', 'Hello')
    const text = async (one: Row) => new TextDecoder().decode(await readRow(one, keyring, kms.unwrap)) // prettier-ignore
    expect(await text(row)).toBe('Hello')
    const moved = await moveRow(row, keyring, kms.unwrap)
    expect(moved).toMatchObject({ id: '17', envelope: null })
    const before = kms.calls()
    expect(await text(moved!)).toBe('Hello')
    expect(await moveRow(moved!, keyring, kms.unwrap)).toBe(null)
    expect(kms.calls()).toBe(before)
    // It is bound to its row now, which the envelope was not.
    await expectCode(text({ ...moved!, id: '18' }), 'ERR_OPEN')
    const damaged = { ...row.envelope!, iv: new Uint8Array(12) }
    await expect(moveRow({ ...row, envelope: damaged }, keyring, kms.unwrap)).rejects.toThrow()
  })

  it('blobs of use domains become messages, and an empty answer is no plaintext', async () => {
    const blobs = new Map([['blob', 'Hello']])
    const old = { decrypt: async (blob: string) => blobs.get(blob) ?? '' }
    expect(await readText('blob', keyring, 'note/17', old)).toBe('Hello')
    const message = await moveText('blob', keyring, 'note/17', old)
    blobs.clear()
    expect(await readText(message, keyring, 'note/17', old)).toBe('Hello')
    expect(await moveText(message, keyring, 'note/17', old)).toBe(message)
    await expect(moveText('blob', keyring, 'note/17', old)).rejects.toThrow('did not open')
  })
})

describe('drizzle', () => {
  const path = (): string => join(acme.directory, 'notes.db')
  const raw = <T>(work: (db: DatabaseSync) => T): T => {
    const db = new DatabaseSync(path())
    try {
      return work(db)
    } finally {
      db.close()
    }
  }

  it('what is sealed is no text in the file, and comes back', async () => {
    const notes = openNotes(path(), keyring)
    await notes.add({ author: 'kim', title: 'Secret title', body: 'Secret body' })
    await notes.add({ author: 'kim', title: 'Without a body', body: null })
    const rows = await notes.by('kim')
    expect(Object.fromEntries(rows.map(({ title, body }) => [title, body]))).toEqual({
      'Secret title': 'Secret body',
      'Without a body': null,
    })
    notes.close()
    const file = readFileSync(path(), 'latin1')
    expect(file).toContain('kim')
    expect(file).not.toContain('Secret')
  })

  it('a field that was moved to another row or column does not open', async () => {
    const notes = openNotes(path(), keyring)
    await notes.add({ author: 'eve', title: 'one', body: 'two' })
    raw((db) => db.exec("UPDATE notes SET title = body, body = title WHERE author = 'eve'"))
    await expectCode(notes.by('eve'), 'ERR_OPEN')
    raw((db) =>
      db.exec(
        "UPDATE notes SET (title, body) = (SELECT title, NULL FROM notes WHERE author = 'kim' LIMIT 1) WHERE author = 'eve'",
      ),
    )
    await expectCode(notes.by('eve'), 'ERR_OPEN')
    raw((db) => db.exec("DELETE FROM notes WHERE author = 'eve'"))
    notes.close()
  })

  const rotate = async (): Promise<void> => {
    const changed = new Promise<void>((resolve) => {
      const stop = keyferry.on('key', () => {
        stop()
        resolve()
      })
    })
    rotateKeyring(acme.deriver.store, 'notes', Math.floor(Date.now() / 1000))
    await changed
  }

  it('after a rotation old rows are encrypted again, once', async () => {
    const notes = openNotes(path(), keyring)
    expect(await notes.rewrap()).toBe(0)
    await rotate()
    await notes.add({ author: 'kim', title: 'After', body: 'the rotation' })
    expect(await notes.rewrap(1)).toBe(2)
    expect(await notes.rewrap()).toBe(0)
    const rows = await notes.by('kim')
    expect(rows.map(({ title }) => title).toSorted()).toEqual([
      'After',
      'Secret title',
      'Without a body',
    ])
    notes.close()
  })

  it('what somebody wrote while a row was encrypted again stays', async () => {
    const notes = openNotes(path(), keyring)
    const id = await notes.add({ author: 'ada', title: 'Title', body: 'before' })
    const empty = await notes.add({ author: 'ada', title: 'Empty', body: null })
    await rotate()
    const bodies: [string, string][] = [[id, 'after'], [empty, 'filled']] // prettier-ignore
    const written = bodies.map(async ([row, text]) => {
      const context = JSON.stringify(['notes', 'body', row])
      return [await keyring.encrypt(text, { context }), row] as const
    })
    const updates = await Promise.all(written)
    // Between reading and writing: the first thing that is encrypted comes after the read.
    const late = {
      needsRewrap: (message: Uint8Array) => keyring.needsRewrap(message),
      decrypt: (...args: Parameters<Keyring['decrypt']>) => keyring.decrypt(...args),
      encrypt: (...args: Parameters<Keyring['encrypt']>) => {
        raw((db) => {
          for (const update of updates)
            db.prepare('UPDATE notes SET body = ? WHERE id = ?').run(...update)
        })
        return keyring.encrypt(...args)
      },
    } as unknown as Keyring
    const other = openNotes(path(), late)
    await other.rewrap()
    other.close()
    const rows = await notes.by('ada')
    expect(new Set(rows.map(({ body }) => body))).toEqual(new Set(['after', 'filled']))
    notes.close()
  })
})

describe('an object store', () => {
  let store: ObjectStore
  beforeAll(async () => {
    store = await startObjectStore()
  })
  afterAll(() => store.close())
  const at = (name: string) => ({ url: `${store.url}/bucket/${name}`, name })
  const bytesOf = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> =>
    new Uint8Array(await new Response(stream as BodyInit).arrayBuffer())
  const plain = new Uint8Array(200_000).map((_, i) => i * 31)

  it.each([0, 1, 16_383, 16_384, 200_000])('keeps %i bytes, encrypted', async (size) => {
    const data = plain.subarray(0, size)
    await putObject(keyring, at(`of-${size}`), new Blob([data]).stream(), size)
    const stored = store.objects.get(`/bucket/of-${size}`)!
    expect(stored.length).toBe(messageLength(size))
    if (size > 100) expect(stored.includes(Buffer.from(data.subarray(0, 32)))).toBe(false)
    expect(await bytesOf(await getObject(keyring, at(`of-${size}`)))).toEqual(data)
  })

  it('a range is read without the rest of the object', async () => {
    store.calls.length = 0
    const part = await getRange(keyring, at('of-200000'), 100_000, 100_100)
    expect(part).toEqual(plain.slice(100_000, 100_100))
    const lengths = store.calls.flatMap((call) => {
      const [, from, to] = /bytes=(\d+)-(\d+)$/.exec(call) ?? []
      return from === undefined ? [] : [Number(to) - Number(from) + 1]
    })
    expect(lengths.length).toBeGreaterThan(0)
    expect(lengths.reduce((a, b) => a + b)).toBeLessThan(40_000)
  })

  it('what was cut off, swapped or replaced meanwhile is refused', async () => {
    const whole = store.objects.get('/bucket/of-200000')!
    store.objects.set('/bucket/cut', whole.subarray(0, 96 + 2 * 16_400))
    const cut = { ...at('cut'), name: 'of-200000' }
    await expectCode(bytesOf(await getObject(keyring, cut)), 'ERR_OPEN')
    await expectCode(getRange(keyring, cut, 0, 10), 'ERR_OPEN')
    store.objects.set('/bucket/other', whole)
    await expectCode(bytesOf(await getObject(keyring, at('other'))), 'ERR_OPEN')
    // Replaced after the HEAD.
    const replace = store.calls.push.bind(store.calls)
    store.calls.push = (call) => {
      if (call.includes('bytes=')) store.objects.set('/bucket/of-200000', whole.subarray(0, -1))
      return replace(call)
    }
    await expect(getRange(keyring, at('of-200000'), 0, 10)).rejects.toThrow('412')
  })

  it('a stream of another length than was said fails, and nothing is kept', async () => {
    const data = new Blob([plain]).stream()
    await expect(putObject(keyring, at('longer'), data, 100)).rejects.toThrow()
    expect(store.objects.has('/bucket/longer')).toBe(false)
  })
})

describe('React', () => {
  it('a page rendered on a server becomes one with keys, and shows what happens to them', async () => {
    const note = createElement(Note, { keyferry: null })
    const html = renderToString(createElement(StrictMode, null, note))
    expect(html).toContain('pending')
    const { outputFiles } = await build({
      entryPoints: [join(ROOT, 'examples/react/page.tsx')],
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"development"' },
    })
    app.on('request', (request, response) => {
      const types: Record<string, [string, string]> = {
        '/': ['text/html', `<!doctype html><meta charset="utf-8"><title>notes</title><div id="app">${html}</div><script type="module" src="/page.js"></script>`], // prettier-ignore
        '/page.js': ['text/javascript', outputFiles[0]!.text],
        '/keyferry.json': ['application/json', JSON.stringify(acme.config)],
      }
      if (request.url === '/enroll') return void acme.enrolment(request, response)
      const [type, body] = types[request.url ?? ''] ?? ['text/plain', '']
      const cookie = 'session=42; HttpOnly; SameSite=Strict; Path=/'
      response.writeHead(200, { 'content-type': type, 'set-cookie': cookie }).end(body)
    })
    const browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
    try {
      const page = await browser.newPage()
      const errors: string[] = []
      page.on('console', (one) => one.type() === 'error' && errors.push(one.text()))
      page.on('pageerror', (error) => errors.push(error.message))
      await page.goto(origin)
      const version = keyring.version
      await page.locator('#state', { hasText: `ready, version ${version}` }).waitFor()
      await page.fill('input', 'typed')
      await page.click('button')
      await page.locator('#note', { hasText: 'typed' }).waitFor()
      rotateKeyring(acme.deriver.store, 'notes', Math.floor(Date.now() / 1000))
      await page.locator('#state', { hasText: `ready, version ${version + 1}` }).waitFor()
      // No mismatch with what the server rendered, and nothing else.
      expect(errors).toEqual([])
    } finally {
      await browser.close()
    }
  })
})
