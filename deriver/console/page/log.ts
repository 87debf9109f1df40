/** The audit log, newest first, as it grows. */
import { type EntryView } from '../types.ts'
import { get } from './api.ts'
import { h, time } from './dom.ts'
import { button, section } from './pieces.ts'

/** Entries that are asked for at once. */
const PAGE = 50
let shown = PAGE

/** Fields that people read first; others come after them. */
const FIRST = ['by', 'action', 'keyring', 'uri', 'version', 'generation', 'number', 'reason']
const TONES: Record<string, string> = {
  'member-removed': 'bad',
  'device-denied': 'bad',
  'certificate-revoked': 'bad',
  'request-refused': 'warn',
  'request-denied': 'warn',
  'request-kept': 'warn',
  'version-compromised': 'bad',
  'member-added': 'good',
  'request-approved': 'good',
  'console-opened': 'accent',
  'console-ordered': 'accent',
  unreadable: 'bad',
}

function entry({ index, event, time: at, fields }: EntryView): HTMLElement {
  const names = Object.keys(fields).toSorted((a, b) => {
    const [x, y] = [FIRST.indexOf(a), FIRST.indexOf(b)]
    return (x === -1 ? FIRST.length : x) - (y === -1 ? FIRST.length : y)
  })
  return h(
    'li',
    { class: 'entry' },
    h('span', { class: 'fine number-cell' }, String(index)),
    h('span', { class: 'fine' }, at === 0 ? '' : time(at, true)),
    h(
      'div',
      {},
      h('span', { class: `event ${TONES[event] ?? ''}` }, event.replaceAll('-', ' ')),
      h(
        'dl',
        { class: 'fields' },
        ...names.map((name) => {
          const text = fields[name]!
          const isHash = /^[0-9a-f]{32,}$/.test(text)
          return h(
            'div',
            {},
            h('dt', {}, name),
            h(
              'dd',
              isHash ? { class: 'hash', title: text } : {},
              isHash ? `${text.slice(0, 12)}…` : text,
            ),
          )
        }),
      ),
    ),
  )
}

/** Draws the log; `again` draws it once more. */
export async function drawLog(again: () => void): Promise<HTMLElement[]> {
  const entries: EntryView[] = []
  let size = 0
  for (let before = ''; entries.length < shown;) {
    const page = await get<{ entries: EntryView[]; size: number }>(
      `log?${before}limit=${Math.min(200, shown - entries.length)}`,
    )
    size = page.size
    entries.push(...page.entries)
    const last = page.entries.at(-1)
    if (last === undefined || last.index === 0) break
    before = `before=${last.index}&`
  }
  return [
    section(
      'Audit log',
      h(
        'p',
        { class: 'fine' },
        `${size.toLocaleString('en-GB')} entries. Each is written before its effect, and every head commits to all of them: keyferry audit verify checks that.`,
      ),
      h('ol', { class: 'entries', 'aria-live': 'off' }, ...entries.map(entry)),
      entries.length < size
        ? button('Show earlier entries', 'earlier', () => {
            shown += PAGE * 3
            again()
          })
        : null,
    ),
  ]
}
