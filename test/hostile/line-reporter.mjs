// Prints one line per attack as it ends, and `N passed, N failed` as the last one.
import { writeSync } from 'node:fs'

const isJson = process.env.HOSTILE_JSON === '1'

export default class LineReporter {
  #passed = 0
  #failed = 0

  onTestCaseResult(test) {
    const { state, errors } = test.result()
    if (state === 'skipped') return
    const isGood = state === 'passed'
    if (isGood) this.#passed++
    else this.#failed++
    const where = test.project.name === 'browser' ? 'Chromium' : 'Node'
    const [attack, actor, code] = test.name.split(' · ')
    const on = test.parent.type === 'suite' ? test.parent.name : ''
    const line = { passed: isGood, where, on, attack, actor, code, error: errors?.[0]?.message }
    const text = [isGood ? 'refused' : 'FAILED ', where, on, test.name].filter(Boolean).join(' · ')
    const error = isGood ? '' : `\n    ${line.error}`
    writeSync(1, isJson ? `${JSON.stringify(line)}\n` : `${text}${error}\n`)
  }

  onTestRunEnd(modules, unhandledErrors) {
    this.#failed += unhandledErrors.length
    for (const module of modules) {
      if (module.errors().length === 0) continue
      this.#failed++
      writeSync(1, `FAILED · ${module.moduleId}: ${module.errors()[0].message}\n`)
    }
    writeSync(1, `${this.#passed} passed, ${this.#failed} failed\n`)
    if (this.#passed === 0) process.exitCode = 1
  }
}
