// The X.509 suites through the runner that comes with them, in a process of its own: no case may fail, hang, or be skipped.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it, test } from 'vitest'
import { hasSuites, requiresSuites, suitesFolder } from './suites.ts'
import { runX509, X509_SUITES } from './x509-suites.ts'

test.skipIf(hasSuites)('the X.509 suites are absent, see test/conformance/suites.ts', () => {
  expect(requiresSuites, `required at ${suitesFolder}`).toBe(false)
})

describe.skipIf(!hasSuites)('X.509 suites', () => {
  it.each(X509_SUITES)(
    '$name: no failure, hang or skip',
    { timeout: 120_000 },
    async ({ file }) => {
      const { results, code } = await runX509(file)
      expect(results.filter((one) => one.outcome !== 'passed')).toEqual([])
      expect(results.length).toBeGreaterThan(30)
      expect(code).toBe(0)
    },
  )

  it('the runner notices a validator that accepts everything', { timeout: 60_000 }, async () => {
    const acceptAll = fileURLToPath(new URL('./accept-all.mjs', import.meta.url))
    const { results, code } = await runX509('limbo.json', acceptAll)
    // 1: cases failed. Anything else would say that the adapter did not run.
    expect(code).toBe(1)
    expect(results.filter((one) => one.outcome === 'false-accept').length).toBeGreaterThan(50)
  })

  it('the command line prints a table and the sums', { timeout: 120_000 }, async () => {
    const run = promisify(execFile)
    const { stdout } = await run('node', ['test/conformance/run.ts', '--only', 'x509'])
    expect(stdout).toMatch(/^\d{3,} passed, 0 failed\n$/m)
  })
})
