// The stores of Node: in memory and in a file.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { createFileStore } from '../../web/node.ts'
import { createMemoryStore } from '../../web/store-memory.ts'
import { createTextStore, type TextPlace } from '../../web/store-text.ts'
import { emptyState, type Store } from '../../web/store.ts'
import { describeStore } from '../lib/client-store.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const directory = mkdtempSync(join(tmpdir(), 'keyferry-store-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const at = (name: string): string => join(directory, `${name}.json`)

describe('in memory', () => {
  const stores = new Map<string, Store>()
  describeStore((name) => {
    const store = stores.get(name) ?? createMemoryStore()
    stores.set(name, store)
    return Promise.resolve({ ...store })
  })
})

describe('in a file', () => {
  describeStore((name) => Promise.resolve(createFileStore(at(name))))

  it('is readable by its owner only, and leaves nothing beside it', async () => {
    const store = createFileStore(at('mode'))
    await store.lock(() => store.write({ ...emptyState(), revision: 1 }))
    expect(statSync(at('mode')).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory).filter((name) => name.startsWith('mode'))).toEqual(['mode.json'])
  })

  it('that is damaged is not taken for an empty one', async () => {
    writeFileSync(at('damaged'), '{"format":1,"revi')
    await expectCode(createFileStore(at('damaged')).read(), 'ERR_STATE')
    writeFileSync(at('damaged'), '{"format":2}')
    await expectCode(createFileStore(at('damaged')).read(), 'ERR_STATE')
  })

  it('cannot be written where there is no directory', async () => {
    const store = createFileStore(join(directory, 'none', 'x.json'))
    await expectCode(store.write({ ...emptyState(), revision: 1 }), 'ERR_IO')
    await expectCode(
      store.lock(() => Promise.resolve()),
      'ERR_IO',
    )
  })

  it('takes over the lock of a process that is gone', async () => {
    // No process has this number.
    writeFileSync(`${at('stale')}.lock`, `${2 ** 22 + 1} x`)
    const store = createFileStore(at('stale'))
    expect(await store.lock(() => Promise.resolve('mine'))).toBe('mine')
  })

  it('is shared by processes that take turns', async () => {
    const web = fileURLToPath(new URL('../../web', import.meta.url))
    const script = `
      import { createFileStore } from ${JSON.stringify(join(web, 'node.ts'))}
      import { emptyState } from ${JSON.stringify(join(web, 'store.ts'))}
      const store = createFileStore(${JSON.stringify(at('processes'))})
      for (let i = 0; i < 10; i++) {
        await store.lock(async () => {
          const state = (await store.read()) ?? emptyState()
          await store.write({ ...state, revision: state.revision + 1 })
        })
      }`
    const codes = await Promise.all(
      [1, 2].map(
        () =>
          new Promise((resolve) => {
            const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
              stdio: ['ignore', 'ignore', 'inherit'],
            })
            child.on('exit', resolve)
          }),
      ),
    )
    expect(codes).toEqual([0, 0])
    const { revision } = JSON.parse(readFileSync(at('processes'), 'utf8')) as { revision: number }
    expect(revision).toBe(20)
  })
})

describe('in a text of the app', () => {
  const texts = new Map<string, string>()
  const placeOf = (name: string): TextPlace => ({
    read: () => Promise.resolve(texts.get(name) ?? null),
    write: async (text) => void texts.set(name, text),
  })
  const stores = new Map<string, Store>()
  describeStore((name) => {
    const store = stores.get(name) ?? createTextStore(placeOf(name))
    stores.set(name, store)
    return Promise.resolve({ ...store })
  })

  it('that is damaged is not taken for an empty one', async () => {
    for (const text of ['{"format":1,"revi', '{"format":2}', '']) {
      texts.set('damaged', text)
      await expectCode(createTextStore(placeOf('damaged')).read(), 'ERR_STATE')
    }
  })

  it('says so when the place fails', async () => {
    const fail = (): Promise<never> => Promise.reject(new Error('locked'))
    const broken = createTextStore({ read: fail, write: fail })
    await expectCode(broken.read(), 'ERR_IO')
    const full = createTextStore({ ...placeOf('full'), write: fail })
    await expectCode(full.write({ ...emptyState(), revision: 1 }), 'ERR_IO')
    expect(await full.read()).toBe(null)
  })
})
