/**
 * The roots of all keys: things that compute HMAC-SHA-256 under a master secret and need not give it out
 * (docs/PROTOCOL.md, "Derivation").
 */
import { hex, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { commitInput, type VersionContext } from '../shared/kdf.ts'
import { hmac, publicHmac } from './hmac.ts'
import { drawAgain, newDraws } from './random.ts'
import { type Store } from './store.ts'

/** One master secret, wherever it is. */
export interface MacKey {
  /** HMAC-SHA-256: 32 bytes. Throws `ERR_ROOT`, `ERR_ROOT_DENIED`, `ERR_ROOT_KEY`, `ERR_PIN`, `ERR_ROOT_TIMEOUT`. */
  mac(input: Bytes): Promise<Bytes>
  /** The same at once, where the key is in memory. */
  macNow?(input: Bytes): Bytes
  close?(): void
}

/** The master secrets of a deriver by number, as its database names them: 1 is the first. */
export interface Root {
  /** HMAC-SHA-256 under a master secret. Outside {@link Root.transaction} only for keys in memory. Throws `ERR_ROOT_KEY` for a root that is not open. */
  mac(input: Bytes, number?: number): Bytes
  /** The same for roots of any kind. Throws what {@link MacKey.mac} throws. */
  ask(input: Bytes, number?: number): Promise<Bytes>
  /**
   * One transaction that derives. `work` must not wait and must have no effect but that on the store: where a root has to be asked, it is first run in
   * vain, to learn what for, and rolled back. So no transaction is open while an HSM or a KMS is waited for.
   */
  transaction<T>(store: Store, work: () => T): Promise<T>
  /**
   * Forgets what roots answered and was kept: what the database has erased must not live on here. `mark` rises with what is erased; one that was heard of before
   * changes nothing.
   */
  forget(mark: number): void
  /** Whether the present run is in vain: something that it asked for was no key. */
  isInVain(): boolean
}

/** Whether an error is of a root, or of a signing key beside it: nothing is wrong with what was asked of it. */
export function isRootError(error: unknown): boolean {
  return isKeyferryError(error) && (error.code === 'ERR_PIN' || error.code.startsWith('ERR_ROOT'))
}

/** Keys kept in memory of roots that have to be asked, and how many questions are under way at once. */
const MAX_KEPT = 65_536
const PARALLEL = 16
/** How often work is run again because it asks for something else each time. */
const ATTEMPTS = 16

/** A master secret held in memory: 32 bytes. */
export function memoryKey(master: Bytes): MacKey {
  if (master.length !== 32) throw new RangeError('the master secret has 32 bytes')
  const key = new Uint8Array(master)
  const macNow = (input: Bytes): Bytes => hmac(key, input)
  return { macNow, mac: (input) => Promise.resolve(macNow(input)) }
}

/** A root held in memory, as number 1. `master` is 32 bytes. */
export function createRoot(master: Bytes): Root {
  return holdRoots(new Map([[1, memoryKey(master)]]))
}

/** Answers of a root. What keeps it from asking, such as a token file or PIN that cannot be read, is no fault of what was asked. */
async function answerOf(key: MacKey, input: Bytes): Promise<Bytes> {
  try {
    return await key.mac(input)
  } catch (cause) {
    throw asRootError(cause)
  }
}

/** An error of whoever asks or opens a root, as one of the root; what is none of ours as it is, and a lease that was lost meanwhile. */
export function asRootError(cause: unknown): unknown {
  if (!isKeyferryError(cause) || isKeyferryError(cause, 'ERR_LEASE') || isRootError(cause))
    return cause
  const { message, hint } = cause
  return new KeyferryError('ERR_ROOT', message, { cause, ...(hint !== undefined && { hint }) })
}

interface Question {
  key: MacKey
  input: Bytes
}

/** Ends the transaction of a run in vain. */
class InVain extends Error {}

/** The roots of a deriver. `keys` may get more of them later. */
export function holdRoots(keys: ReadonlyMap<number, MacKey>): Root {
  const known = new Map<string, Bytes>()
  let forgotten = 0
  let questions: Map<string, Question> | null = null

  function keyOf(number: number): MacKey {
    const key = keys.get(number)
    if (key === undefined)
      throw new KeyferryError('ERR_ROOT_KEY', `root ${number} is needed and not open`)
    return key
  }

  function recall(name: string): Bytes | undefined {
    const found = known.get(name)
    if (found === undefined) return undefined
    // The ones used last are at the end.
    known.delete(name)
    known.set(name, found)
    return found.slice()
  }

  function forget(most: number): void {
    for (const [name, key] of known) {
      if (known.size <= most) return
      known.delete(name)
      key.fill(0)
    }
  }

  /** Asks all of them, a few at once. Throws the first failure; what was answered is kept. */
  async function askAll(asked: ReadonlyMap<string, Question>): Promise<void> {
    const left = [...asked]
    const one = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const [name, { key, input }] = next
        known.set(name, await answerOf(key, input))
      }
    }
    await Promise.all(Array.from({ length: Math.min(PARALLEL, left.length) }, one))
  }

  return {
    mac(input, number = 1) {
      const key = keyOf(number)
      if (key.macNow !== undefined) return key.macNow(input)
      const name = `${number} ${hex(input)}`
      const found = recall(name)
      if (found !== undefined) return found
      if (questions === null) throw new TypeError('this root is asked in Root.transaction')
      questions.set(name, { key, input: input.slice() })
      return new Uint8Array(32)
    },
    async ask(input, number = 1) {
      const key = keyOf(number)
      if (key.macNow !== undefined) return key.macNow(input)
      const name = `${number} ${hex(input)}`
      const found = recall(name) ?? (await answerOf(key, input))
      // The transaction that comes next needs it again.
      known.set(name, found.slice())
      return found
    },
    isInVain: () => questions !== null && questions.size > 0,
    async transaction(store, work) {
      const draws = newDraws()
      for (let i = 0; i < ATTEMPTS; i++) {
        const isNow = [...keys.values()].every((key) => key.macNow !== undefined)
        if (isNow) return store.transaction(work)
        const asked = new Map<string, Question>()
        questions = asked
        try {
          const result = store.transaction(() => {
            const made = drawAgain(draws, work)
            if (asked.size > 0) throw new InVain()
            return made
          })
          forget(MAX_KEPT)
          return result
        } catch (error) {
          // With keys that are none yet, other errors mean nothing, either.
          if (asked.size === 0) throw error
        } finally {
          questions = null
        }
        await askAll(asked)
      }
      throw new KeyferryError(
        'ERR_CONFLICT',
        'other processes change the store faster than a root answers',
      )
    },
    forget(mark) {
      if (mark > forgotten) forget(0)
      forgotten = Math.max(mark, forgotten)
    },
  }
}

/** The key id of a version secret. */
export function commit(secret: Bytes, context: VersionContext): Bytes {
  return publicHmac(secret, commitInput(context))
}
