/** The contest of messages: every way does the same work in turn, round after round, and what one round compares is the figure. Runs in Node and in a page. */
import { type Bytes } from '../../shared/bytes.ts'
import { type Keyring } from '../../web/index.ts'
import { makeContenders, type Contender } from './contenders.ts'

/** Bytes of plaintext, and how often it is done in a round, so that a clock of a tenth of a millisecond is good enough. */
export interface Load {
  size: number
  times: number
  rounds: number
}

/** Milliseconds of one operation, round after round. */
export interface Result {
  size: number
  operation: 'encrypt' | 'decrypt'
  name: string
  rounds: number[]
}

/** What others have just left is collected, where it can be: else it is paid for by whoever comes next. All garbage of a page would take compiled code along. */
function collect(): void {
  ;(globalThis as { gc?: (options: { type: 'minor' }) => void }).gc?.({ type: 'minor' })
}

function fill(size: number): Bytes {
  const data = new Uint8Array(size)
  for (let at = 0; at < size; at += 65_536)
    crypto.getRandomValues(data.subarray(at, Math.min(size, at + 65_536)))
  return data
}

/** A message that the contender's `decrypt` takes, proven to give the data back. */
async function makeMessage(one: Contender, all: readonly Contender[], data: Bytes): Promise<never> {
  const maker = all.find(({ name }) => name === (one.opens ?? one.name))!
  const message = (await maker.encrypt(data)) as never
  const back = await one.decrypt(message)
  const expected = one.opens === undefined ? data : data.subarray(data.length - back.length)
  if (back.length !== expected.length || back.some((byte, i) => byte !== expected[i]))
    throw new Error(`${one.name} does not give back what it was given`)
  return message
}

async function runLoad(all: readonly Contender[], load: Load): Promise<Result[]> {
  const { size, times, rounds } = load
  const contenders = all.filter(({ least = 0, most = Infinity }) => least <= size && size <= most)
  const data = fill(size)
  const messages: never[] = []
  for (const one of contenders) messages.push(await makeMessage(one, contenders, data))
  const measured = contenders.map(() => ({ encrypt: [] as number[], decrypt: [] as number[] }))
  // The first round only warms up.
  for (let round = -1; round < rounds; round++) {
    for (const [i, one] of contenders.entries()) {
      for (const operation of ['encrypt', 'decrypt'] as const) {
        collect()
        const began = performance.now()
        for (let n = 0; n < times; n++)
          await (operation === 'encrypt' ? one.encrypt(data) : one.decrypt(messages[i]!))
        const spent = (performance.now() - began) / times
        if (round >= 0) measured[i]![operation].push(spent)
      }
    }
  }
  return contenders.flatMap(({ name }, i) =>
    (['encrypt', 'decrypt'] as const).map((operation) => ({
      size,
      operation,
      name,
      rounds: measured[i]![operation],
    })),
  )
}

/** All loads, one after the other; `more` are contenders that do not run everywhere. */
export async function contest(
  keyring: Keyring,
  loads: readonly Load[],
  more: readonly Contender[] = [],
): Promise<Result[]> {
  const contenders = [...(await makeContenders(keyring)), ...more]
  const results: Result[] = []
  for (const load of loads) results.push(...(await runLoad(contenders, load)))
  return results
}
