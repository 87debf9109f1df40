/** How far a long command is, on standard error: a bar where that is a terminal, else a line now and then. What is short says nothing. */

/** Milliseconds before the first word and between two: of a bar, and of lines. */
const BAR_PAUSE = 200
const LINE_PAUSE = 5_000
/** Characters of a bar. */
const BAR = 24

/** Where it is written: a part of standard error. */
export interface ProgressOutput {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

/** How far something is. */
export interface Progress {
  /** So much is done, of so much where that is known. `more` goes behind it. */
  tell: (done: number, of?: number, more?: string) => void
  /** Takes the bar away, so that what comes next has the line. */
  stop: () => void
}

const short = (count: number): string => count.toLocaleString('en')

function barOf(done: number, of: number): string {
  const part = of === 0 ? 1 : Math.min(1, done / of)
  const filled = Math.floor(BAR * part)
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${Math.floor(100 * part)} %  `
}

/** Tells of a count of `what`, such as `objects`. With `isQuiet`, as for --json, of nothing. `now` in milliseconds. */
export function startProgress(
  what: string,
  isQuiet = false,
  output: ProgressOutput = process.stderr,
  now: () => number = Date.now,
): Progress {
  const isBar = output.isTTY === true
  const pause = isBar ? BAR_PAUSE : LINE_PAUSE
  let told = now()
  let isShown = false
  return {
    tell(done, of, more) {
      if (isQuiet || now() < told + pause) return
      told = now()
      const count = `${short(done)}${of === undefined ? '' : ` of ${short(of)}`} ${what}`
      const text = more === undefined ? count : `${count}, ${more}`
      if (!isBar) return void output.write(`keyferry: ${text}\n`)
      const line = `${of === undefined ? '' : barOf(done, of)}${text}`
      // Nothing is wrapped: the next one could not take it away.
      output.write(`\r\u001B[K${line.slice(0, (output.columns ?? 80) - 1)}`)
      isShown = true
    },
    stop() {
      if (isShown) output.write('\r\u001B[K')
      isShown = false
    },
  }
}
