// Writes what test/conformance/engines counted, suite by suite and engine by engine, to the file that CONFORMANCE_COUNTS names.
import { writeFileSync } from 'node:fs'

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = []
    let failed = unhandledErrors.length
    for (const module of modules) {
      if (module.errors().length > 0) failed++
      for (const test of module.children.allTests()) {
        const { conformance } = test.meta()
        if (conformance !== undefined) counts.push({ engine: test.project.name, ...conformance })
        // One that is about the suite as a whole, such as that all engines agree.
        else if (test.result().state === 'failed') failed++
      }
    }
    writeFileSync(process.env.CONFORMANCE_COUNTS, JSON.stringify({ counts, failed }))
  }
}
