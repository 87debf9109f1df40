// The stores of Node: in memory and in a file.
import { spawn, spawnSync } from 'node:child_process'
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
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

/** A process that, when asked, takes the lock and gives out the next version. */
function startLocker(path: string) {
  const web = fileURLToPath(new URL('../../web', import.meta.url))
  const script = `
    import { createFileStore } from ${JSON.stringify(join(web, 'node.ts'))}
    import { emptyState } from ${JSON.stringify(join(web, 'store.ts'))}
    const store = createFileStore(${JSON.stringify(path)})
    process.on('message', async () => {
      process.send(await store.lock(async () => {
        const state = (await store.read()) ?? emptyState()
        const version = state.packageVersion + 1
        await store.write({ ...state, revision: state.revision + 1, packageVersion: version })
        return version
      }))
    })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ask = (): Promise<unknown> =>
    new Promise((resolve) => {
      child.once('message', resolve)
      child.send('go')
    })
  return { child, ask }
}

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

  /** A lock as a process leaves it that is gone: none has this number. */
  async function leaveLock(name: string, place?: string): Promise<void> {
    const path = `${at(name)}.lock`
    const [, here] = await createFileStore(at(name)).lock(async () =>
      readFileSync(path, 'utf8').split(' '),
    )
    writeFileSync(path, `${2 ** 22 + 1} ${place ?? here} x`)
  }

  it('takes over the lock of a process that is gone', async () => {
    await leaveLock('stale')
    const store = createFileStore(at('stale'))
    expect(await store.lock(() => Promise.resolve('mine'))).toBe('mine')
    expect(readdirSync(directory).filter((name) => name.startsWith('stale'))).toEqual([])
  })

  it.each([
    ['of another machine or container, where the number may be somebody', 'elsewhere/pid:[1]'],
    ['that nobody has written yet', null],
  ])('takes over a lock %s only when nobody refreshes it any more', async (_, place) => {
    const name = `fresh ${place === null}`
    if (place === null) writeFileSync(`${at(name)}.lock`, '')
    else await leaveLock(name, place)
    let isMine = false
    const taking = createFileStore(at(name)).lock(async () => {
      isMine = true
    })
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(isMine).toBe(false)
    const old = Date.now() / 1_000 - 11
    utimesSync(`${at(name)}.lock`, old, old)
    await taking
    expect(isMine).toBe(true)
  })

  it('takes over a lock of a clock that was ahead', async () => {
    await leaveLock('ahead', 'elsewhere/pid:[1]')
    const ahead = Date.now() / 1_000 + 3_600
    utimesSync(`${at('ahead')}.lock`, ahead, ahead)
    expect(await createFileStore(at('ahead')).lock(async () => 'mine')).toBe('mine')
  })

  it('takes over a lock beside others that do, one at a time', async () => {
    const { child, ask } = startLocker(at('crowd'))
    try {
      const all = Array.from({ length: 4 }, () => startLocker(at('crowd')))
      for (let round = 0; round < 25; round++) {
        await leaveLock('crowd')
        const versions = await Promise.all([{ child, ask }, ...all].map((one) => one.ask()))
        expect(new Set(versions).size).toBe(5)
      }
      for (const one of all) one.child.kill()
    } finally {
      child.kill()
    }
  })

  it('leaves no lock behind that a full disk did not take', async () => {
    const web = fileURLToPath(new URL('../../web', import.meta.url))
    const script = `
      import { createFileStore } from ${JSON.stringify(join(web, 'node.ts'))}
      await createFileStore(${JSON.stringify(at('full'))}).lock(async () => {})`
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', 'ulimit -f 0; exec "$0" --input-type=module -e "$1"', process.execPath, script],
      { encoding: 'utf8' },
    )
    expect(status).toBe(1)
    expect(stderr).toContain('ERR_IO')
    expect(readdirSync(directory).filter((name) => name.startsWith('full'))).toEqual([])
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
