/** The contest of messages: every way does the same work in turn, round after round, and what one round compares is the figure. Runs in Node and in a page. */
import { type Bytes } from '../../shared/bytes.ts'
import { type Keyring } from '../../web/index.ts'
import { makeContenders, type Contender } from './contenders.ts'

/** Bytes of plaintext; how often it is done in a round, so that a clock of a tenth of a millisecond is good enough; and how many rounds. */
export interface Load {
  size: number
  times: number
  rounds: number
  /** Milliseconds that a turn takes at least: the quick do it again until then, else they would find memory and caches as the slow ones before them left them. */
  turn?: number
}

export type Operation = 'encrypt' | 'decrypt'
const OPERATIONS: readonly Operation[] = ['encrypt', 'decrypt']

/** Milliseconds of one operation, round after round. */
export interface Result {
  size: number
  operation: Operation
  name: string
  rounds: number[]
}

/** Does an operation as often as the load says. Returns milliseconds of one. */
export type Turn = (operation: Operation) => Promise<number>

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

const fits = ({ least = 0, most = Infinity }: Contender, { size }: Load): boolean =>
  least <= size && size <= most

async function prepare(
  one: Contender,
  all: readonly Contender[],
  data: Bytes,
  { times, turn = 0 }: Load,
): Promise<Turn> {
  const message = await makeMessage(one, all, data)
  return async (operation) => {
    collect()
    const began = performance.now()
    let [done, spent] = [0, 0]
    while (done < times || spent < turn) {
      await (operation === 'encrypt' ? one.encrypt(data) : one.decrypt(message))
      done++
      spent = performance.now() - began
    }
    return spent / done
  }
}

/** Every way in turn, round after round. */
export async function takeTurns(
  turns: ReadonlyMap<string, Turn>,
  { size, rounds }: Load,
): Promise<Result[]> {
  const results = [...turns.keys()].flatMap((name) =>
    OPERATIONS.map((operation): Result => ({ size, operation, name, rounds: [] })),
  )
  // The first round only warms up.
  for (let round = -1; round < rounds; round++)
    for (const { name, operation, rounds: seen } of results) {
      const spent = await turns.get(name)!(operation)
      if (round >= 0) seen.push(spent)
    }
  return results
}

/** The names of those that say something of a load. */
export async function namesOf(keyring: Keyring, load: Load): Promise<string[]> {
  return (await makeContenders(keyring)).filter((one) => fits(one, load)).map(({ name }) => name)
}

/** One way alone, for a page of its own. */
export async function prepareOne(keyring: Keyring, load: Load, name: string): Promise<Turn> {
  const all = await makeContenders(keyring)
  return prepare(
    all.find((one) => one.name === name)!,
    all,
    fill(load.size),
    load,
  )
}

/** All loads, one after the other; `more` are contenders that do not run everywhere. */
export async function contest(
  keyring: Keyring,
  loads: readonly Load[],
  more: readonly Contender[] = [],
): Promise<Result[]> {
  const all = [...(await makeContenders(keyring)), ...more]
  const results: Result[] = []
  for (const load of loads) {
    const data = fill(load.size)
    const turns = new Map<string, Turn>()
    for (const one of all)
      if (fits(one, load)) turns.set(one.name, await prepare(one, all, data, load))
    results.push(...(await takeTurns(turns, load)))
  }
  return results
}
