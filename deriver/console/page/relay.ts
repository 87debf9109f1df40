/** What a relay sees of this tenant, and what it does not. */
import { type Visible } from '../types.ts'
import { get } from './api.ts'
import { h } from './dom.ts'
import { section } from './pieces.ts'

/** Draws what a relay sees. */
export async function drawRelay(): Promise<HTMLElement[]> {
  const { sees, never } = await get<Visible>('relay')
  return [
    section(
      'It sees',
      h(
        'p',
        { class: 'fine' },
        'Whoever runs a relay can read all of this, now and later. Choose the URIs in certificates with that in mind.',
      ),
      h(
        'ul',
        { class: 'seen' },
        ...sees.map(({ what, values, more }) =>
          h(
            'li',
            {},
            h('strong', {}, what),
            values.length === 0
              ? null
              : h('ul', {}, ...values.map((one) => h('li', {}, h('code', {}, one)))),
            more === 0 ? null : h('p', { class: 'fine' }, `and ${more} more`),
          ),
        ),
      ),
    ),
    section(
      'It does not see',
      h('ul', { class: 'unseen' }, ...never.map((one) => h('li', {}, one))),
    ),
  ]
}
