/** Requests that wait for an administrator. */
import { type RequestView } from '../types.ts'
import { get, post } from './api.ts'
import { ask, say } from './dialog.ts'
import { fromNow, h, short } from './dom.ts'
import { button, empty, section, tag } from './pieces.ts'

function askApprove({ id, uri, keyring }: RequestView): Promise<void> {
  return ask({
    title: `Give ${keyring} to this client?`,
    body: [
      h('p', {}, h('code', { class: 'block' }, uri)),
      h(
        'ul',
        { class: 'effects' },
        h(
          'li',
          {},
          'Its URI becomes a rule of the keyring: every certificate with it is covered from then on.',
        ),
        h('li', {}, 'It can read all versions of the keyring that still decrypt.'),
      ),
    ],
    verb: 'Approve',
    act: async () => {
      await post(`requests/${id}/approve`)
      say(`Approved: ${uri} gets ${keyring}`)
    },
  })
}

function askDeny({ id, uri, keyring }: RequestView): Promise<void> {
  const reason = h('input', {
    type: 'text',
    id: 'reason',
    maxlength: 300,
    value: 'an administrator said no',
  })
  return ask({
    title: `Deny ${keyring} to this client?`,
    body: [
      h('p', {}, h('code', { class: 'block' }, uri)),
      h(
        'ul',
        { class: 'effects' },
        h(
          'li',
          {},
          'So are the requests that the same device makes for this keyring in the next 30 days.',
        ),
      ),
      h(
        'label',
        { for: 'reason' },
        'Reason: the client is told, signed, and the relay can read it',
      ),
      reason,
    ],
    verb: 'Deny',
    isDanger: true,
    act: async () => {
      await post(`requests/${id}/deny`, { reason: reason.value })
      say(`Denied: ${uri} does not get ${keyring}`)
    },
  })
}

function item(one: RequestView, now: number): HTMLElement {
  const { id, uri, keyring, keyId, asked, state, reason } = one
  const tone = state === 'approved' ? 'good' : 'bad'
  return h(
    'li',
    { class: 'request' },
    h(
      'div',
      { class: 'who' },
      h('span', { class: 'uri' }, uri),
      h(
        'span',
        { class: 'fine' },
        'wants ',
        h('b', {}, keyring),
        `, asked ${fromNow(asked, now)}, key `,
        short(keyId),
      ),
      reason === '' ? null : h('span', { class: 'fine' }, `Reason: ${reason}`),
    ),
    state === 'waiting'
      ? h(
          'div',
          { class: 'buttons' },
          button('Deny', `deny ${id}`, () => void askDeny(one), 'danger'),
          button('Approve', `approve ${id}`, () => void askApprove(one), 'primary'),
        )
      : tag(state, tone),
  )
}

/** Draws the requests. */
export async function drawRequests(): Promise<HTMLElement[]> {
  const all = await get<RequestView[]>('requests')
  const now = Date.now() / 1000
  const waiting = all.filter(({ state }) => state === 'waiting')
  const decided = all.filter(({ state }) => state !== 'waiting')
  return [
    section(
      'Waiting for you',
      waiting.length === 0
        ? empty(
            'Nobody waits.',
            'Requests that no rule covers wait here for keyrings made with --approvals; for others they are denied.',
          )
        : h('ul', { class: 'requests' }, ...waiting.map((one) => item(one, now))),
    ),
    ...(decided.length === 0
      ? []
      : [
          section(
            'Decided in the last 30 days',
            h('ul', { class: 'requests' }, ...decided.map((one) => item(one, now))),
          ),
        ]),
  ]
}
