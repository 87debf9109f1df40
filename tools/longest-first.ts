/** The order in which vitest starts test files: the longest first, so that none of them is left alone at the end. */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, the longest first, each with the projects of its own. Where a name is wrong, its file comes in its turn. */
const LONGEST = [
  'test/e2e/demo-insider.test.ts',
  'test/properties/matrices.test.ts',
  'test/formal/models.test.ts',
  'test/relay/events.test.ts',
  'test/e2e/story.test.ts',
  'test/e2e/audit.test.ts',
  'test/relay/operator.test.ts',
  'test/cli/rewrap.test.ts',
  'test/package/client-page.test.ts',
  'test/cli/roots.test.ts',
  'test/e2e/demo.test.ts',
  'test/e2e/crash.test.ts',
  'test/package/package.test.ts',
  'test/e2e/self-hosting.test.ts',
  'test/invariants/secrets.test.ts',
  'test/hostile/client.test.ts',
  'test/unit/client-senders.test.ts',
  'test/e2e/tabs.test.ts',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- no array
    const sorted = await super.sort(files)
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.indexOf(relative(this.ctx.config.root, moduleId))
      return at === -1 ? LONGEST.length : at
    }
    return sorted.toSorted((a, b) => place(a) - place(b))
  }
}
