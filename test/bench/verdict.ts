/** What a run says of the goals. */
import { GOALS, type Results } from './goals.ts'

/** A goal with what was measured. */
export interface Verdict {
  work: string
  goal: string
  measured: number
  isMet: boolean
  /** What the platform alone reaches, where it was measured: for readers, and no excuse. */
  alone: number | undefined
}

/** The goals that this run has figures for. */
export function judge(results: Results): Verdict[] {
  return GOALS.flatMap(({ work, bound, measured, alone }) => {
    const value = measured(results)
    if (value === undefined) return []
    const isMost = 'most' in bound
    const limit = isMost ? bound.most : bound.least
    const isMet = isMost ? value <= limit : value >= limit
    const goal = `${isMost ? '≤' : '≥'} ${limit}`
    return [{ work, goal, measured: value, isMet, alone: alone?.(results) }]
  })
}
