/** Random lives as plain data: commands, and how properties over them are checked. */
import * as fc from 'fast-check'
import { type Mix } from './hiding-relay.ts'

/** One thing that happens. Numbers choose among what there is. */
export type Command =
  | { do: 'join' }
  | { do: 'round'; who: number }
  | { do: 'rotate'; keyring: number }
  | { do: 'remove'; who: number }
  | { do: 'step'; seconds: number }
  /** Long enough for key packages to rotate and generations to end by age. */
  | { do: 'wait'; days: number }
  | { do: 'backup' }
  /** `both`: the file of the CA, too. Without `raise` somebody forgot the new incarnation. */
  | { do: 'restore'; files: 'deriver' | 'both'; raise: boolean }
  | { do: 'instances'; count: 1 | 2 }
  | { do: 'hide'; back: number }
  | { do: 'mix'; back: Mix }
  | { do: 'show' }
  | { do: 'refuse'; isOn: boolean }
  /** A mark: what happens there is the test's own affair. */
  | { do: 'leak' }

const small = fc.nat({ max: 7 })
/** All of one push, with now and then a part of another. */
const mixes: fc.Arbitrary<Mix> = fc.nat({ max: 6 }).chain((base) => {
  const back = fc.oneof(
    { weight: 5, arbitrary: fc.constant(base) },
    { weight: 1, arbitrary: small },
  )
  const trust = fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.nat({ max: 2 }) },
  )
  return fc.record({ catalog: back, crls: back, head: back, manifest: back, release: back, trust })
})
type Kind = Exclude<Command['do'], 'leak'>
const all: { [K in Kind]: fc.WeightedArbitrary<Command> } = {
  join: { weight: 4, arbitrary: fc.constant({ do: 'join' }) },
  round: { weight: 3, arbitrary: small.map((who) => ({ do: 'round', who })) },
  rotate: {
    weight: 2,
    arbitrary: fc.nat({ max: 1 }).map((keyring) => ({ do: 'rotate', keyring })),
  },
  remove: { weight: 4, arbitrary: small.map((who) => ({ do: 'remove', who })) },
  step: {
    weight: 4,
    arbitrary: fc.constantFrom(1, 61, 700, 4_000).map((seconds) => ({ do: 'step', seconds })),
  },
  wait: { weight: 1, arbitrary: fc.constantFrom(6, 18, 33).map((days) => ({ do: 'wait', days })) },
  backup: { weight: 2, arbitrary: fc.constant({ do: 'backup' }) },
  restore: {
    weight: 2,
    arbitrary: fc
      .constantFrom('deriver' as const, 'both' as const)
      .map((files) => ({ do: 'restore', files, raise: true })),
  },
  instances: {
    weight: 1,
    arbitrary: fc.constantFrom(1 as const, 2 as const).map((count) => ({ do: 'instances', count })),
  },
  hide: {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 6 }).map((back) => ({ do: 'hide', back })),
  },
  mix: { weight: 3, arbitrary: mixes.map((back) => ({ do: 'mix', back })) },
  show: { weight: 2, arbitrary: fc.constant({ do: 'show' }) },
  refuse: { weight: 2, arbitrary: fc.boolean().map((isOn) => ({ do: 'refuse', isOn })) },
}

/** Lists of commands, of these kinds only if some are named. */
export function commands(
  maxLength: number,
  kinds = Object.keys(all) as Kind[],
): fc.Arbitrary<Command[]> {
  return fc.array(fc.oneof(...kinds.map((kind) => all[kind])), {
    minLength: 4,
    maxLength,
    size: 'max',
  })
}

/** Restores by somebody who forgot the new incarnation. */
export const careless: fc.Arbitrary<Command> = fc.constant({
  do: 'restore',
  files: 'both',
  raise: false,
})

export const SLOW = process.env['SLOW'] !== undefined
/** Milliseconds for one property. */
export const LIMIT = SLOW ? 3_600_000 : 60_000

/** Checks a property. A failing run prints its seed and what it was made of; `SEED=…` begins with that seed, `SLOW=1` runs many more. */
export function check<T>(property: fc.IAsyncProperty<T>, runs: number): Promise<void> {
  const seed = process.env['SEED']
  return fc.assert(property, {
    numRuns: SLOW ? 40 * runs : runs,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    // Shrinking takes time, too: what is smallest by then is printed.
    interruptAfterTimeLimit: LIMIT - 10_000,
  })
}
