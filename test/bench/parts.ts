/** The parts of the benchmark, and how far each goes in a quick run and in a whole one. */
import { benchAudit } from './audit.ts'
import { benchClient } from './client.ts'
import { benchDeriver } from './deriver.ts'
import { benchDestroy } from './destroy.ts'
import { benchHeads } from './heads.ts'
import { benchKeysInPage } from './keys-page.ts'
import { benchKeys } from './keys.ts'
import { type Line } from './measure.ts'
import { benchMessages } from './messages.ts'
import { benchPaths } from './paths.ts'
import { benchRebuild } from './rebuild.ts'
import { benchScale } from './relay-scale.ts'
import { benchRelay } from './relay.ts'

/** Parts that give lines, in the order in which they run. */
export const LINES: Readonly<Record<string, (quick: boolean) => Promise<Line[]>>> = {
  deriver: (quick) =>
    benchDeriver(quick ? [10, 1_000] : [10, 1_000, 10_000, 100_000], quick ? 3 : 5),
  keys: (quick) => {
    const counts = quick ? [1, 1_000] : [1, 10, 1_000, 10_000]
    const rounds = 3
    return benchKeys(counts, quick ? [10, 1_000] : counts, rounds)
  },
  'keys-page': (quick) =>
    benchKeysInPage({
      pairs: quick
        ? [
            [1_000, 500],
            [1_000, 1_000],
          ]
        : [
            [1, 1_000],
            [10, 1_000],
            [10_000, 1_000],
            [1_000, 1],
            [1_000, 10],
            [1_000, 500],
            [1_000, 1_000],
          ],
      rounds: quick ? 7 : 21,
    }),
  destroy: (quick) => benchDestroy(1_000, quick ? 2 : 5),
  heads: (quick) => benchHeads(quick ? [1, 100] : [1, 100, 1_000], [10, 1_000], quick ? 3 : 7),
  audit: (quick) => benchAudit(quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000], 1),
  client: (quick) => benchClient(quick ? 100 : 300),
  messages: (quick) => benchMessages(quick),
  paths: (quick) => benchPaths(quick ? [10_000] : [10_000, 100_000], quick ? 5 : 15),
  scale: benchScale,
  relay: (quick) => benchRelay(1_000, quick ? 3 : 7, quick ? 200 : 500),
}

/** Parts that run only where they are named: they take minutes and gigabytes. */
export const NAMED: typeof LINES = {
  rebuild: (quick) => (quick ? benchRebuild(10, 1_000) : benchRebuild(100, 10_000)),
}
