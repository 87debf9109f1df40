/** A process that runs test files on demand, with vitest loaded once: it is told a mutant and files, and says which one did not pass. */
import { createVitest } from 'vitest/node'
import { type Task } from './run.ts'

const vitest = await createVitest('test', { watch: false, project: ['unit'], reporters: [{}] })

/** Runs one file after the other. Returns the first that does not pass. */
async function run({ mutant, reached, tests }: Task): Promise<string | null> {
  process.env['KEYFERRY_MUTANT'] = String(mutant ?? -1)
  process.env['KEYFERRY_MUTANTS_REACHED'] = reached ?? ''
  const all = await vitest.globTestSpecifications()
  for (const test of tests) {
    const specs = all.filter(({ moduleId }) => moduleId.endsWith(`/${test}`))
    // Those of earlier runs are counted again otherwise.
    vitest.state.clearErrors()
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specs)
    const isGood = testModules.length > 0 && testModules.every((one) => one.ok())
    if (!isGood || unhandledErrors.length > 0) return test
  }
  return null
}

process.on('message', (task: Task) => {
  void run(task).then((failed) => process.send!({ failed }))
})
process.send!('ready')
