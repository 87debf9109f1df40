/** What the suites need in every engine: one test per suite, which runs all of its cases and counts them for `npm run conformance`. */
import { expect, test } from 'vitest'

/** What `npm run conformance` reads of a test. */
export interface Count {
  suite: string
  passed: number
  failed: number
  skipped: number
}

/** A file of Wycheproof. */
export interface Wycheproof<Group, Case> {
  testGroups: (Group & { tests: (Case & WycheproofCase)[] })[]
}

/** What every case of Wycheproof has. */
export interface WycheproofCase {
  tcId: number
  comment?: string
  flags?: string[]
  result: 'valid' | 'invalid' | 'acceptable'
}

/** True, false, or undefined where the case does not apply. */
export type Verdict = boolean | undefined

/**
 * One test of all cases: `run` answers whether a case came out as it should. Where the suite is absent, the test says so, and passes
 * (suites.ts makes it an error where suites are required).
 */
export function conform<Suite, Case>(
  name: string,
  suite: unknown,
  list: (suite: Suite) => Case[],
  run: (one: Case) => Promise<Verdict> | Verdict,
): void {
  if (suite === null) {
    test(`${name}: the suite is absent, see test/conformance/suites.ts`, () => {
      expect(suite).toBeNull()
    })
    return
  }
  test(`${name} comes out as it says`, { timeout: 120_000 }, async ({ task }) => {
    const count: Count = { suite: name, passed: 0, failed: 0, skipped: 0 }
    const failures: Case[] = []
    for (const one of list(suite as Suite)) {
      const verdict = await run(one)
      if (verdict === undefined) count.skipped++
      else if (verdict) count.passed++
      else {
        count.failed++
        failures.push(one)
      }
    }
    Object.assign(task.meta, { conformance: count })
    expect(failures).toEqual([])
    expect(count.passed).toBeGreaterThan(0)
  })
}

/** The cases of a file of Wycheproof, each with its group. */
export function cases<Group, Case>({
  testGroups,
}: Wycheproof<Group, Case>): { group: Group; one: Case & WycheproofCase }[] {
  return testGroups.flatMap((group) => group.tests.map((one) => ({ group, one })))
}

/** Bytes of work that may be refused: undefined then. */
export async function attempt<T>(work: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}
