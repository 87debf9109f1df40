/** The thread beside: wraps what wrap-thread.ts sends. Run in a worker. */
import { parentPort, workerData } from 'node:worker_threads'
import { WrapJob } from './wrap-job.ts'

/** What the thread is started with: how many jobs it has taken, which it counts. */
export type Taken = Int32Array<SharedArrayBuffer>

parentPort!.on('message', (memory: SharedArrayBuffer) => {
  Atomics.add(workerData as Taken, 0, 1)
  new WrapJob(memory).work()
})
