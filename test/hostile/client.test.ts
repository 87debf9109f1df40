/** The client in Node and a relay that does everything a relay can do: one attack per test, named after its row in the threat tables. */
import { describe, it } from 'vitest'
import { dueFor, suffer, titleOf } from '../lib/hostile-stage.ts'
import { attacks } from './attacks/index.ts'

// A client spends most of an attack waiting, so they are played side by side.
describe.concurrent.each(['held', 'new'] as const)('a client that is %s', (victim) => {
  for (const attack of dueFor(victim, attacks)) it(titleOf(attack), () => suffer(attack, victim))
})
