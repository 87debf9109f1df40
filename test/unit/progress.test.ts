/** How commands tell how far they are: on a terminal, elsewhere, and not at all. */
import { expect, it } from 'vitest'
import { startProgress, type ProgressOutput } from '../../deriver/commands/progress.ts'

let text = ''
let time = 0
const output = (more: Partial<ProgressOutput> = {}): ProgressOutput => {
  text = ''
  time = 1_000
  return { write: (piece) => (text += piece), ...more }
}
const now = (): number => time

it('is a bar on a terminal, which goes away', () => {
  const progress = startProgress('objects', false, output({ isTTY: true, columns: 80 }), now)
  progress.tell(1, 4_000)
  time += 199
  progress.tell(2, 4_000)
  progress.stop()
  expect(text).toBe('')
  time += 1
  progress.tell(1_000, 4_000)
  expect(text).toBe('\r\u001B[K[######..................] 25 %  1,000 of 4,000 objects')
  time += 200
  text = ''
  progress.tell(4_000, 4_000, 'of all')
  expect(text).toBe(`\r\u001B[K[${'#'.repeat(24)}] 100 %  4,000 of 4,000 objects, of all`)
  text = ''
  progress.stop()
  progress.stop()
  expect(text).toBe('\r\u001B[K')
})

it('counts where nobody knows of how many, and takes one line whatever its length', () => {
  const progress = startProgress('objects', false, output({ isTTY: true, columns: 20 }), now)
  time += 200
  progress.tell(7)
  expect(text).toBe('\r\u001B[K7 objects')
  time += 200
  text = ''
  progress.tell(1_500, 1_000)
  expect(text).toBe(`\r\u001B[K[##################`)
  expect(startProgress('none', false, output({ isTTY: true }), now)).toBeDefined()
  const empty = startProgress('devices', false, output({ isTTY: true }), now)
  time += 200
  empty.tell(0, 0)
  expect(text).toContain('100 %  0 of 0 devices')
})

it('is a line now and then elsewhere, and nothing for programs', () => {
  const lines = startProgress('entries', false, output({ isTTY: false }), now)
  for (let done = 0; done <= 12; done++) {
    lines.tell(done, 12)
    time += 1_000
  }
  lines.stop()
  expect(text).toBe('keyferry: 5 of 12 entries\nkeyferry: 10 of 12 entries\n')
  const quiet = startProgress('entries', true, output({ isTTY: true }), now)
  time += 60_000
  quiet.tell(1, 2)
  quiet.stop()
  expect(text).toBe('')
})
