/** Keyrings: versions on a timeline in their states, and rotation, now or at a time. */
import { type KeyringView } from '../types.ts'
import { get, post } from './api.ts'
import { ask, say } from './dialog.ts'
import { count, fromNow, h, time } from './dom.ts'
import { button, empty, tag } from './pieces.ts'
import { timeline } from './timeline.ts'

function askRotate({ name, versions }: KeyringView): Promise<void> {
  const present = versions.find(({ state }) => state === 'active')
  return ask({
    title: `Rotate ${name}`,
    body: [
      h(
        'ul',
        { class: 'effects' },
        h(
          'li',
          {},
          present === undefined
            ? 'The next version encrypts from now on.'
            : `Version ${present.version} decrypts only, and the next one encrypts.`,
        ),
        h(
          'li',
          {},
          'All members get it with the next head. Nobody has to be re-keyed, and nothing is to be encrypted again.',
        ),
      ),
    ],
    verb: 'Rotate now',
    act: async () => {
      const { version } = await post<{ version: number }>(
        `keyrings/${encodeURIComponent(name)}/rotate`,
      )
      say(`${name} encrypts under version ${version}`)
    },
  })
}

function localTime(seconds: number): string {
  const date = new Date(seconds * 1000)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function askPlan(ring: KeyringView): Promise<void> {
  const { name, rotatesAt, isPlanned } = ring
  const now = Date.now() / 1000
  const field = h('input', {
    type: 'datetime-local',
    id: 'plan-at',
    min: localTime(now + 60),
    value: localTime(isPlanned ? rotatesAt : Math.min(rotatesAt, now + 86_400)),
    required: true,
  })
  const plan = async (at: number | null): Promise<void> => {
    const answer = await post<{ at: number }>(`keyrings/${encodeURIComponent(name)}/schedule`, {
      at,
    })
    say(`${name} rotates ${fromNow(answer.at, Date.now() / 1000)}`)
  }
  return ask({
    title: `Schedule the rotation of ${name}`,
    body: [
      h(
        'p',
        {},
        isPlanned ? 'It is planned for ' : 'It rotates by itself on ',
        time(rotatesAt, true),
        '. An earlier time can be chosen; clients are given the version shortly before.',
      ),
      h('label', { for: 'plan-at' }, 'Rotate at, in your time zone'),
      field,
      isPlanned
        ? h(
            'label',
            { class: 'check' },
            h('input', { type: 'checkbox', id: 'plan-never' }),
            'Take the plan back: it rotates by itself',
          )
        : null,
    ],
    verb: 'Schedule',
    act: () => {
      const never = document.querySelector<HTMLInputElement>('#plan-never')?.checked === true
      return plan(never ? null : Math.floor(new Date(field.value).getTime() / 1000))
    },
  })
}

function card(ring: KeyringView, now: number): HTMLElement {
  const { name, kind, generation, members, rules, waiting, rotatesAt, isPlanned, isPublished } =
    ring
  const id = `ring-${ring.id}`
  return h(
    'article',
    { class: 'card ring', 'aria-labelledby': id },
    h(
      'header',
      { class: 'card-head' },
      h(
        'div',
        {},
        h('h2', { id }, name),
        h('p', { class: 'fine' }, `${kind}, ${count(members, 'member')}, generation ${generation}`),
      ),
      h(
        'div',
        { class: 'buttons' },
        button('Schedule', `plan ${ring.id}`, () => void askPlan(ring)),
        button('Rotate', `rotate ${ring.id}`, () => void askRotate(ring), 'primary'),
      ),
    ),
    timeline(ring, now),
    h(
      'p',
      { class: 'next' },
      isPlanned ? tag('planned', 'accent') : null,
      rotatesAt === 0 ? 'No version encrypts.' : `Next rotation ${fromNow(rotatesAt, now)}, `,
      rotatesAt === 0 ? null : time(rotatesAt, true),
      isPublished ? null : tag('not published yet', 'warn'),
    ),
    h(
      'details',
      {},
      h(
        'summary',
        { 'data-key': `rules ${ring.id}` },
        `${count(rules.length, 'rule')} for who may have it`,
      ),
      h(
        'ul',
        { class: 'rules' },
        ...rules.map((rule) =>
          h(
            'li',
            {},
            h('code', {}, rule),
            waiting.includes(rule) ? tag('waits for keyring rule allow', 'warn') : null,
          ),
        ),
      ),
    ),
  )
}

/** Draws the keyrings. */
export async function drawKeyrings(): Promise<HTMLElement[]> {
  const rings = await get<KeyringView[]>('keyrings')
  const now = Date.now() / 1000
  if (rings.length === 0)
    return [empty('No keyrings yet.', 'keyferry keyring create NAME makes one.')]
  return rings.map((ring) => card(ring, now))
}
