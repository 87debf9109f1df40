/** What a run says of the goals. */
import { GOALS, type Results } from './goals.ts'

/** A goal beyond the platform is missed all the same by whoever takes more than so many times what the platform alone takes. */
const MOST_OF_PLATFORM = 4

/** A goal with what was measured. */
export interface Verdict {
  work: string
  goal: string
  measured: number
  /** `limit`: asks for more than the platform alone reaches in the same run, of which no more than {@link MOST_OF_PLATFORM} times is taken. */
  verdict: 'met' | 'limit' | 'missed'
  /** What the platform alone reaches, where it was measured. */
  limit: number | undefined
}

/** The goals that this run has figures for. */
export function judge(results: Results): Verdict[] {
  return GOALS.flatMap(({ work, bound, measured, limit }) => {
    const value = measured(results)
    if (value === undefined) return []
    const best = limit?.(results)
    const meets = (one: number): boolean =>
      'most' in bound ? one <= bound.most : one >= bound.least
    const isBeyond = best !== undefined && !meets(best)
    // The one in the other: what is taken of it is as much as the ratios differ.
    const share = best === undefined ? 0 : Math.max(value / best, best / value)
    const goal = 'most' in bound ? `≤ ${bound.most}` : `≥ ${bound.least}`
    const verdict = meets(value)
      ? 'met'
      : isBeyond && share <= MOST_OF_PLATFORM
        ? 'limit'
        : 'missed'
    return [{ work, goal, measured: value, verdict, limit: best }]
  })
}
