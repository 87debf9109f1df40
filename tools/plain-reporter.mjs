// Prints `N passed, N failed, N skipped` as the very last line of a vitest run. A file that does
// not load, a suite whose hook throws and an unhandled error count as one failure each.
import { writeSync } from 'node:fs'

export default class PlainReporter {
  #passed = 0
  #failed = 0
  #skipped = 0

  onInit() {
    process.once('exit', (code) => {
      // Nothing ran, or something broke outside the tests.
      if (code !== 0 && this.#failed === 0) this.#failed = 1
      writeSync(1, `${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped\n`)
    })
  }

  onTestRunEnd(modules, unhandledErrors) {
    this.#passed = this.#skipped = 0
    this.#failed = unhandledErrors.length
    for (const module of modules) {
      if (module.errors().length > 0) this.#failed++
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) this.#failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') this.#passed++
        else if (state === 'skipped') this.#skipped++
        else this.#failed++
      }
    }
  }
}
