/** Versions on a timeline: when each encrypts, how long it decrypts, and what comes. The table beside it says the same in words. */
import { type KeyringView, type VersionView } from '../types.ts'
import { h, short, time, type Child } from './dom.ts'
import { tag } from './pieces.ts'

const DAY = 86_400
const TONES: Record<VersionView['state'], string> = {
  'pre-active': 'plain',
  active: 'good',
  deactivated: 'accent',
  compromised: 'bad',
  destroyed: 'plain',
}
/** Versions that are shown before somebody asks for the earlier ones. */
const SHOWN = 6

interface Range {
  from: number
  to: number
}

/** From the first version that is shown to some time after the next rotation. */
function rangeOf(versions: readonly VersionView[], rotatesAt: number, now: number): Range {
  const begins = versions.flatMap(({ activated }) => (activated > 0 ? [activated] : []))
  const from = Math.min(now - DAY, ...begins)
  const ahead = Math.max(rotatesAt, now) - now
  const to = Math.max(now + ahead * 1.25, now + (now - from) * 0.2, now + 2 * DAY)
  return { from: Math.max(from, now - 2 * (to - now) - 60 * DAY), to }
}

const at = (seconds: number, { from, to }: Range): number =>
  Math.min(1, Math.max(0, (seconds - from) / (to - from)))

function bar(kind: string, begin: number, end: number, range: Range): HTMLElement | null {
  const [a, b] = [at(begin, range), at(end, range)]
  if (b <= a) return null
  const element = h('span', { class: `bar ${kind}${end > range.to ? ' goes-on' : ''}` })
  element.style.setProperty('--from', String(a))
  element.style.setProperty('--to', String(b))
  return element
}

function mark(kind: string, seconds: number, range: Range): HTMLElement {
  const element = h('span', { class: `mark ${kind}` })
  element.style.setProperty('--from', String(at(seconds, range)))
  return element
}

function track(
  one: VersionView,
  ends: number,
  ring: KeyringView,
  range: Range,
  now: number,
): HTMLElement {
  const { state, activated, decryptUntil } = one
  const bars: (HTMLElement | null)[] = []
  if (state === 'destroyed') bars.push(bar('gone', activated, now, range))
  else if (activated === 0) bars.push(bar('ahead', ring.rotatesAt, range.to + 1, range))
  else
    bars.push(
      bar(state === 'compromised' ? 'bad' : 'encrypts', activated, ends, range),
      bar('decrypts', ends, decryptUntil, range),
    )
  return h('div', { class: 'track', 'aria-hidden': 'true' }, ...bars, mark('now', now, range))
}

function words(one: VersionView, ends: number, ring: KeyringView): Child[] {
  switch (one.state) {
    case 'active':
      return ['encrypts until ', time(ends, true)]
    case 'pre-active':
      return [
        one.isBundled ? 'with clients already; takes over ' : 'known to nobody; takes over ',
        time(ring.rotatesAt),
      ]
    case 'destroyed':
      return ['nobody can have it any more']
    default:
      return ['decrypts until ', time(one.decryptUntil)]
  }
}

/** When each version stopped encrypting: when the next one began. */
function endsOf(ring: KeyringView, now: number): Map<VersionView, number> {
  const used = ring.versions
    .filter(({ activated }) => activated > 0)
    .toSorted((a, b) => a.activated - b.activated)
  return new Map(
    used.map((one, i) => {
      const next = used[i + 1]?.activated
      const end = one.state === 'active' ? ring.rotatesAt : Math.min(one.encryptUntil, now)
      return [one, next ?? end]
    }),
  )
}

/** The versions of a keyring, newest first. */
export function timeline(ring: KeyringView, now: number): HTMLElement {
  const newest = ring.versions.toReversed()
  const shown = newest.slice(0, SHOWN)
  const ends = endsOf(ring, now)
  const range = rangeOf(shown, ring.rotatesAt, now)
  const rows = shown.map((one) => {
    const end = ends.get(one) ?? one.encryptUntil
    const name = one.incarnation === 1 ? `v${one.version}` : `v${one.incarnation}.${one.version}`
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, name),
      h('td', { class: 'state' }, tag(one.state, TONES[one.state])),
      h('td', { class: 'chart' }, track(one, end, ring, range, now)),
      h(
        'td',
        { class: 'words' },
        ...words(one, end, ring),
        one.note === '' ? null : h('span', { class: 'fine line' }, one.note),
        one.destroyedFrom === null
          ? null
          : h(
              'span',
              { class: 'fine line' },
              'being destroyed, for certain on ',
              time(one.destroyedFrom, true),
            ),
      ),
      h(
        'td',
        { class: 'key' },
        one.keyId === '' ? h('span', { class: 'fine' }, 'not committed yet') : short(one.keyId),
      ),
    )
  })
  const place = at(now, range)
  // A date that the word would cover is left out.
  const axis = h(
    'div',
    { class: 'axis', 'aria-hidden': 'true' },
    h('span', {}, place < 0.25 ? '' : time(range.from)),
    h('span', {}, place > 0.75 ? '' : time(range.to)),
  )
  const today = h('span', { class: 'today' }, 'now')
  today.style.setProperty('--from', String(place))
  axis.append(today)
  return h(
    'div',
    { class: 'timeline' },
    h(
      'table',
      {},
      h('caption', { class: 'visually-hidden' }, `Versions of ${ring.name}, newest first`),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'Version'),
          h('th', { scope: 'col' }, 'State'),
          h('th', { scope: 'col', class: 'chart' }, axis),
          h('th', { scope: 'col' }, 'In words'),
          h('th', { scope: 'col' }, 'Key id'),
        ),
      ),
      h('tbody', {}, ...rows),
    ),
    newest.length > SHOWN
      ? h(
          'p',
          { class: 'fine' },
          `and ${newest.length - SHOWN} earlier: keyferry keyring show ${ring.name}`,
        )
      : null,
  )
}
