/** Memory that cannot grow without end, whatever strangers send. */
import { type Bytes } from '../shared/bytes.ts'

/** A map key for bytes: one UTF-16 unit each. */
export function keyOf(bytes: Uint8Array): string {
  // A spread would go through an iterator, which costs eight times as much: a push may ask for this once for each member.
  return Reflect.apply(String.fromCharCode, null, bytes as ArrayLike<number>)
}

/** The entries used last, up to a total weight. */
export class Recent<V> {
  readonly #entries = new Map<string, V>()
  readonly #limit: number
  readonly #weigh: (value: V) => number
  #weight = 0

  constructor(limit: number, weigh: (value: V) => number = () => 1) {
    this.#limit = limit
    this.#weigh = weigh
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    // A Map keeps insertion order: the entry goes to the end.
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: string, value: V): void {
    this.delete(key)
    const weight = this.#weigh(value)
    // One that is too heavy by itself takes the place of no others.
    if (weight > this.#limit) return
    this.#entries.set(key, value)
    this.#weight += weight
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#limit) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const value = this.#entries.get(key)
    if (value === undefined) return
    this.#entries.delete(key)
    this.#weight -= this.#weigh(value)
  }

  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }
}

/** A bounded set of hashes; a full one begins anew. */
export class HashSet {
  readonly #limit: number
  readonly #keys = new Set<string>()

  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit
  }

  has(hash: Bytes): boolean {
    return this.#keys.has(keyOf(hash))
  }

  /** False if it was there. */
  add(hash: Bytes): boolean {
    const key = keyOf(hash)
    if (this.#keys.has(key)) return false
    if (this.#keys.size >= this.#limit) this.#keys.clear()
    this.#keys.add(key)
    return true
  }

  addAll(other: HashSet): void {
    for (const key of other.#keys) {
      if (this.#keys.size >= this.#limit) this.#keys.clear()
      this.#keys.add(key)
    }
  }

  clear(): void {
    this.#keys.clear()
  }
}
