/** The key of a generation wrapped on two threads: every cell is right, whatever becomes of the second one, and no key is left. */
import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { Leaves } from '../../deriver/leaves.ts'
import { random } from '../../deriver/random.ts'
import { createRoot } from '../../deriver/root.ts'
import { WrapJob } from '../../deriver/wrap-job.ts'
import { type wrapBeside as WrapBeside } from '../../deriver/wrap-thread.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'

vi.mock('node:worker_threads', async (original) => {
  const threads = await original<typeof import('node:worker_threads')>()
  return { ...threads, Worker: vi.fn(threads.Worker) }
})
vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  availableParallelism: vi.fn(() => 2),
}))

let wrapBeside: typeof WrapBeside
beforeEach(async () => {
  vi.mocked(Worker).mockClear()
  vi.resetModules()
  ;({ wrapBeside } = await import('../../deriver/wrap-thread.ts'))
})

const SLOTS = 2_100
const PAGES = Math.ceil(SLOTS / 256)
const DONE = 3

interface Wrapping {
  job: WrapJob
  kek: Bytes
  /** By slot; none in every seventh. */
  keys: (Bytes | undefined)[]
}

function wrapping(slots = SLOTS): Wrapping {
  const kek = random(32)
  const job = WrapJob.of(kek, slots)
  const keys = Array.from({ length: slots }, (_, slot) => (slot % 7 === 3 ? undefined : random(32)))
  return { job, kek, keys }
}

function allReady({ job, keys }: Wrapping): void {
  for (const [slot, key] of keys.entries()) if (key) job.put(slot, key)
  for (let page = 0; page < Math.ceil(job.slots / 256); page++) job.ready(page)
}

const statesOf = (job: WrapJob): number[] => [...new Int32Array(job.memory, 4, PAGES)]
const holds = (job: WrapJob, secret: Bytes): boolean =>
  Buffer.from(job.memory).includes(Buffer.from(secret))

/** The cells as they are handed out, and that each is. */
function expectCells({ job, kek, keys }: Wrapping): void {
  const cells: string[][] = keys.map(() => [])
  for (let page = 0; page < Math.ceil(job.slots / 256); page++)
    job.finish(page, (slot, cell) => cells[slot]!.push(hex(cell)))
  expect(cells).toEqual(keys.map((key) => (key ? [hex(wrapKey(key, kek))] : [])))
}

describe('cells', () => {
  it.each([1, 255, 256, 257, 700])(
    'of %i slots are those of wrapKey, made on one thread',
    (count) => {
      const one = wrapping(count)
      allReady(one)
      expectCells(one)
    },
  )

  it('are those of wrapKey, all made by the thread beside', async () => {
    for (let round = 0; round < 2; round++) {
      const one = wrapping()
      wrapBeside(one.job)
      allReady(one)
      await expect.poll(() => statesOf(one.job)).toEqual(Array(PAGES).fill(DONE))
      expectCells(one)
      one.job.end()
    }
    // The second job was given to the same one.
    expect(Worker).toHaveBeenCalledTimes(1)
    const options = vi.mocked(Worker).mock.calls[0]![1]!
    expect([options.env, options.execArgv]).toEqual([{}, []])
  })

  it('are those of wrapKey, made by both at once', async () => {
    const warm = wrapping()
    wrapBeside(warm.job)
    allReady(warm)
    await expect.poll(() => statesOf(warm.job)).toEqual(Array(PAGES).fill(DONE))
    warm.job.end()
    for (let round = 0; round < 20; round++) {
      const one = wrapping()
      wrapBeside(one.job)
      allReady(one)
      expectCells(one)
      one.job.end()
    }
  })
})

/** A file of a worker, as a URL. */
const file = (code: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { parentPort, workerData } from 'node:worker_threads'
parentPort.on('message', (memory) => { const words = new Int32Array(memory); ${code} })`)}`,
  )

describe('a thread beside that', () => {
  it.each([
    ['is not there', new URL('./none.ts', import.meta.url)],
    ['is no script', file('} }')],
    ['throws at once', file('throw new Error("bad")')],
    ['exits', file('process.exit(0)')],
  ])('%s costs nothing, and the next one works', async (_, bad) => {
    const one = wrapping()
    wrapBeside(one.job, bad)
    allReady(one)
    expectCells(one)
    const worker = vi.mocked(Worker).mock.results[0]!.value as Worker
    await new Promise((resolve) => worker.once('exit', resolve))
    one.job.end()

    const next = wrapping()
    wrapBeside(next.job)
    allReady(next)
    await expect.poll(() => statesOf(next.job)).toEqual(Array(PAGES).fill(DONE))
    expectCells(next)
    next.job.end()
  })

  it.each([
    ['dies', 'throw new Error("dead")'],
    ['hangs', 'Atomics.wait(words, 1 + 8, 1)'],
  ])('%s with a page in its hands loses no cell', async (_, code) => {
    const one = wrapping()
    wrapBeside(one.job, file(`Atomics.store(words, 1, 2); ${code}`))
    for (const [slot, key] of one.keys.entries()) if (key) one.job.put(slot, key)
    await expect.poll(() => statesOf(one.job)[0]).toBe(2)
    for (let page = 1; page < PAGES; page++) one.job.ready(page)
    expectCells(one)
    one.job.end()
    await (vi.mocked(Worker).mock.results[0]!.value as Worker).terminate()
  })

  it('is late with a page does not change it any more', () => {
    const one = wrapping()
    allReady(one)
    const words = new Int32Array(one.job.memory)
    Atomics.store(words, 1, 2)
    expectCells(one)
    // What it would say when it is done.
    expect(Atomics.compareExchange(words, 1, 2, DONE)).not.toBe(2)
    one.job.finish(0, () => {
      throw new Error('handed out twice')
    })
  })

  it('is not up yet gets no second job to keep', () => {
    const [first, second] = [wrapping(), wrapping()]
    wrapBeside(first.job)
    const worker = vi.mocked(Worker).mock.results[0]!.value as Worker
    const post = vi.spyOn(worker, 'postMessage')
    wrapBeside(second.job)
    expect(post).not.toHaveBeenCalled()
    for (const one of [first, second]) {
      allReady(one)
      expectCells(one)
      one.job.end()
    }
  })

  it('cannot be started, as where Node allows no workers, is done without', () => {
    vi.mocked(Worker).mockImplementationOnce(() => {
      throw new Error('ERR_ACCESS_DENIED')
    })
    const one = wrapping()
    wrapBeside(one.job)
    allReady(one)
    expectCells(one)
  })

  it('is not worth its start is not started', () => {
    wrapBeside(wrapping(1_999).job)
    vi.mocked(availableParallelism).mockReturnValueOnce(1)
    wrapBeside(wrapping(2_000).job)
    expect(Worker).not.toHaveBeenCalled()
    const large = wrapping(2_000)
    wrapBeside(large.job)
    expect(Worker).toHaveBeenCalledTimes(1)
    large.job.end()
  })
})

describe('keys', () => {
  it('of channels are wiped page by page, and all when it ends', () => {
    const one = wrapping()
    allReady(one)
    expect([one.kek, one.keys[0]!, one.keys[2_099]!].every((key) => holds(one.job, key))).toBe(true)
    one.job.finish(PAGES - 1, () => {})
    expect(holds(one.job, one.keys[2_099]!)).toBe(false)
    expect(holds(one.job, one.keys[0]!)).toBe(true)
    one.job.end()
    expect([one.kek, ...one.keys].some((key) => key && holds(one.job, key))).toBe(false)
  })

  it('are wiped when a root fails, too, and the thread beside ends its work', () => {
    const kek = random(32)
    let job: WrapJob
    const leaves = new Leaves(SLOTS, random(32), kek, (made) => (job = made))
    expect(holds(job!, kek)).toBe(true)
    const seat = { bound: random(96), salt: random(32), root: 1 }
    const root = createRoot(random(32))
    const made: Bytes[] = []
    const mac = (input: Bytes, number?: number): Bytes => {
      const key = root.mac(input, number)
      made.push(key)
      expect(key.some((byte) => byte !== 0)).toBe(true)
      return key
    }
    leaves.put({ ...root, mac }, { ...seat, slot: 0 })
    // The caller's copy is wiped at once.
    expect(made.every((key) => key.every((byte) => byte === 0))).toBe(true)
    expect(() => leaves.put(root, { ...seat, slot: 1, root: 2 })).toThrow('not open')
    leaves.end()
    expect(holds(job!, kek)).toBe(false)
    job!.work()
    expect(new Set(statesOf(job!))).toEqual(new Set([4]))
  })
})

it('a process that has such a thread ends by itself, also in the middle of a job', async () => {
  const at = (name: string): string =>
    JSON.stringify(new URL(`../../deriver/${name}`, import.meta.url))
  const code = `import { WrapJob } from ${at('wrap-job.ts')}
import { wrapBeside } from ${at('wrap-thread.ts')}
const job = WrapJob.of(new Uint8Array(32), 3_000)
wrapBeside(job)
job.ready(0)
const words = new Int32Array(job.memory)
const { availableParallelism } = await import('node:os')
const isDone = () => words[1] === 3 || availableParallelism() < 2
const look = setInterval(() => { if (isDone()) { console.log('one page'); clearInterval(look) } }, 5)`
  const args = ['--input-type=module', '-e', code]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 50_000 })
  expect(stdout).toBe('one page\n')
})
