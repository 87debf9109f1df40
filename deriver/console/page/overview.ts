/** How it all stands: alarms first, then how fresh every relay is, then what ends next. */
import { type AlarmView, type Overview, type RelayView } from '../types.ts'
import { get } from './api.ts'
import { count, fromNow, h, short, span, time } from './dom.ts'
import { facts, section, table, tag } from './pieces.ts'

const TITLES: Record<string, string> = {
  fork: 'Fork',
  'unknown-delivery': 'Unknown delivery',
  'stale-head': 'Stale head',
  'no-heads': 'No heads are signed',
  'root-away': 'Root of trust away',
  'root-closed': 'A root is not open',
  clock: 'Clock',
  relay: 'Relay',
  crl: 'Revocation list',
  catalog: 'Catalog',
  versions: 'Versions running out',
  renewal: 'Renewal due',
  logins: 'Failed logins',
}

function alarm({ kind, what, help, isUrgent, since }: AlarmView, now: number): HTMLElement {
  return h(
    'li',
    { class: `alarm ${isUrgent ? 'bad' : 'warn'}` },
    h(
      'div',
      { class: 'alarm-head' },
      h('strong', {}, TITLES[kind] ?? kind),
      since > 0
        ? h('span', { class: 'fine' }, `since ${fromNow(since, now)}`.replace('since in', 'in'))
        : null,
    ),
    h('p', {}, what),
    h('p', { class: 'fine' }, help),
  )
}

/** Age of a head against its lifetime. */
function gauge(relay: RelayView, now: number): HTMLElement {
  const { url, version, issuedAt, expiresAt, reached, problem } = relay
  const age = now - issuedAt
  const lifetime = expiresAt - issuedAt
  const part = version === 0 ? 1 : Math.min(1, Math.max(0, age / lifetime))
  const tone = version === 0 || age > lifetime ? 'bad' : part > 0.5 ? 'warn' : 'good'
  const words =
    version === 0
      ? 'has no head yet'
      : age > lifetime
        ? `head ${version} expired ${span(age - lifetime)} ago`
        : `head ${version}, ${span(age)} old of at most ${span(lifetime)}`
  const bar = h('div', { class: 'gauge-fill' })
  bar.style.setProperty('--part', String(part))
  const meter = h(
    'div',
    {
      class: `gauge ${tone}`,
      role: 'meter',
      'aria-label': `Age of the head at ${url}`,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
      'aria-valuenow': Math.round(100 * part),
      'aria-valuetext': words,
    },
    bar,
    h('div', { class: 'gauge-half', 'aria-hidden': 'true' }),
  )
  return h(
    'li',
    { class: 'relay' },
    h(
      'div',
      { class: 'relay-head' },
      h('strong', {}, url),
      tag(tone === 'good' ? 'fresh' : tone === 'warn' ? 'ageing' : 'stale', tone),
    ),
    meter,
    h(
      'p',
      { class: 'fine' },
      words,
      reached === null ? '; never reached' : `; reached ${fromNow(reached, now)}`,
    ),
    problem === null ? null : h('p', { class: 'error' }, problem),
  )
}

function numbers({ counts, head }: Overview): HTMLElement {
  const one = (n: string, what: string, href: string): HTMLElement =>
    h('a', { class: 'number', href }, h('b', {}, n), h('span', {}, what))
  return h(
    'div',
    { class: 'numbers' },
    one(String(counts.keyrings), 'keyrings', '#/keyrings'),
    one(String(counts.devices), 'clients', '#/clients'),
    one(String(counts.waiting), 'requests waiting', '#/requests'),
    one(counts.entries.toLocaleString('en-GB'), 'log entries', '#/log'),
    one(head === null ? '–' : String(head.version), 'newest head', '#/relay'),
  )
}

/** Draws the overview. */
export async function drawOverview(): Promise<HTMLElement[]> {
  const state = await get<Overview>('overview')
  const { alarms, now, relays, writer, trust, catalog, roots, bound, calendar, tenant } = state
  const alarmList =
    alarms.length === 0
      ? h(
          'p',
          { class: 'well' },
          h('span', { class: 'dot', 'aria-hidden': 'true' }),
          'No alarms. Clients are given fresh heads.',
        )
      : h('ul', { class: 'alarms' }, ...alarms.map((one) => alarm(one, now)))
  return [
    h('div', { id: 'alarms', role: 'status', 'aria-live': 'polite' }, alarmList),
    numbers(state),
    section(
      'Freshness',
      h(
        'p',
        { class: 'fine' },
        'A client stops encrypting when the newest head that it is given ends. A running deriver signs one in a sixth of its lifetime.',
      ),
      relays.length === 0
        ? h('p', { class: 'fine' }, 'No relay was given a head yet.')
        : h('ul', { class: 'relays' }, ...relays.map((one) => gauge(one, now))),
    ),
    section(
      'Deriver',
      facts(
        [
          'Writes to the store',
          writer === null
            ? tag('none runs', 'bad')
            : h(
                'span',
                {},
                writer.holder,
                h(
                  'span',
                  { class: 'fine' },
                  `  since ${fromNow(writer.since, now)}, fence ${writer.fence}`,
                ),
              ),
        ],
        [
          'Root of trust',
          ...roots.map(({ name, place, isPresent }) =>
            h(
              'span',
              { class: 'line' },
              `${name} `,
              h('code', {}, place),
              isPresent ? ' in use' : '',
            ),
          ),
        ],
        ['Trust document', h('span', {}, `number ${trust.number}, until `, time(trust.expiresAt))],
        [
          'Catalog',
          catalog === null
            ? 'none yet'
            : h('span', {}, `number ${catalog.number}, until `, time(catalog.expiresAt)),
        ],
        ['A revocation holds', `${span(bound.direct)} after it is ordered here`],
        ['Tenant', short(tenant)],
      ),
    ),
    section(
      'What ends next',
      table(
        'What ends next, soonest first',
        ['What', 'Until', 'Renewed by', ''],
        calendar
          .slice(0, 12)
          .map(({ what, until, by, state: standing }) => [
            what,
            h('span', {}, time(until), h('span', { class: 'fine' }, `  ${fromNow(until, now)}`)),
            by,
            standing === 'ok'
              ? tag('in time', 'good')
              : tag(standing, standing === 'due' ? 'warn' : 'bad'),
          ]),
      ),
      calendar.length > 12
        ? h('p', { class: 'fine' }, `and ${count(calendar.length - 12, 'more line')}`)
        : null,
    ),
  ]
}
