/**
 * A thread beside the main one that wraps keys: of a new generation that is two fifths of the work. It is started when it is first needed, and stays as long as
 * the process, which it does not keep alive. Whatever becomes of it, the main thread does what is not done: see wrap-job.ts.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type WrapJob } from './wrap-job.ts'
// Nothing of it is loaded here; but so the compiler knows of it.
import type { Taken } from './wrap-worker.ts'

/** Slots below which the thread is done so late that it is not worth its start. */
const MANY = 2_000

/** Source, or JavaScript of the package: this file's ending is the worker's. */
const FILE = new URL(
  import.meta.url.endsWith('.ts') ? './wrap-worker.ts' : './wrap-worker.js',
  import.meta.url,
)

/** How many jobs were sent, and how many it took. */
let beside: { worker: Worker; taken: Taken; sent: number } | undefined

function start(file: URL): NonNullable<typeof beside> {
  const taken: Taken = new Int32Array(new SharedArrayBuffer(4))
  // No environment: passphrases may be in it.
  const worker = new Worker(file, {
    name: 'keyferry-wrap',
    workerData: taken,
    env: {},
    execArgv: [],
  })
  const forget = (): void => {
    if (beside?.worker === worker) beside = undefined
  }
  // The next job starts another one.
  worker.on('error', forget).on('exit', forget).unref()
  return { worker, taken, sent: 0 }
}

/** Lets the thread beside take part in a job, where it is large enough and there is a processor for it. Never waits, and never throws. */
export function wrapBeside(job: WrapJob, file = FILE): void {
  if (job.slots < MANY || availableParallelism() < 2) return
  try {
    beside ??= start(file)
    // One that is not up yet, or is no more, gets nothing to keep.
    if (Atomics.load(beside.taken, 0) < beside.sent) return
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none
    beside.worker.postMessage(job.memory)
    beside.sent++
  } catch {
    // No threads are to be had, or none is allowed.
    beside = undefined
  }
}
