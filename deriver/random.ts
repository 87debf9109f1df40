/** Random bytes. Work that is done again, because a root had to be asked first, draws the same ones again: its questions stay the same. */
import { randomBytes } from 'node:crypto'
import { type Bytes } from '../shared/bytes.ts'

/** What a run drew, in order, and how much of it the present one has drawn again. */
export interface Draws {
  drawn: Bytes[]
  next: number
}

let present: Draws | null = null

export function newDraws(): Draws {
  return { drawn: [], next: 0 }
}

/** Runs work that does not wait, with the draws of the run before it. */
export function drawAgain<T>(draws: Draws, work: () => T): T {
  const outer = present
  present = draws
  draws.next = 0
  try {
    return work()
  } finally {
    present = outer
  }
}

/** 16, 32 … random bytes. */
export function random(length: number): Bytes {
  if (present === null) return new Uint8Array(randomBytes(length))
  const at = present.next++
  const before = present.drawn[at]
  // The database may have changed since, and with it what is drawn for what: never was any of it given out.
  const bytes = before?.length === length ? before : new Uint8Array(randomBytes(length))
  present.drawn[at] = bytes
  return bytes.slice()
}
