/** The same attacks on the client in a browser, with its own store: see test/hostile. */
import { describe, it } from 'vitest'
import { openIndexedDbStore } from '../../web/index.ts'
import { attacks } from '../hostile/attacks/index.ts'
import { dueFor, suffer, titleOf } from '../lib/hostile-stage.ts'

// A client spends most of an attack waiting, so they are played side by side.
describe.concurrent.each(['held', 'new'] as const)('a client that is %s', (victim) => {
  for (const attack of dueFor(victim, attacks)) {
    it(titleOf(attack), async () => {
      await suffer(attack, victim, await openIndexedDbStore(crypto.randomUUID()))
    })
  }
})
