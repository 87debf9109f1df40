/** Pieces that several views are made of. */
import { h, type Child } from './dom.ts'

/** A titled part of a view. */
export function section(title: string, ...children: Child[]): HTMLElement {
  const id = `section-${title.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`
  return h('section', { class: 'card', 'aria-labelledby': id }, h('h2', { id }, title), ...children)
}

export function empty(text: string, more = ''): HTMLElement {
  return h(
    'div',
    { class: 'empty' },
    h('p', {}, text),
    more === '' ? null : h('p', { class: 'fine' }, more),
  )
}

/** A word in a colour: `good`, `warn`, `bad`, `plain`, `accent`. */
export function tag(text: string, tone: string): HTMLElement {
  return h('span', { class: `tag ${tone}` }, text)
}

/** A button; `key` finds it again after the view is drawn anew. */
export function button(text: string, key: string, act: () => void, tone = ''): HTMLButtonElement {
  return h(
    'button',
    { type: 'button', class: `button small ${tone}`, 'data-key': key, onclick: act },
    text,
  )
}

/** Names and values. */
export function facts(...pairs: [string, ...Child[]][]): HTMLElement {
  return h(
    'dl',
    { class: 'facts' },
    ...pairs.map(([name, ...values]) => h('div', {}, h('dt', {}, name), h('dd', {}, ...values))),
  )
}

/** A table. Narrow screens show its rows as cards, with the heads before the values. */
export function table(caption: string, heads: string[], rows: Child[][]): HTMLElement {
  return h(
    'table',
    {},
    h('caption', { class: 'visually-hidden' }, caption),
    h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))),
    h(
      'tbody',
      {},
      ...rows.map((cells) =>
        h(
          'tr',
          {},
          ...cells.map((cell, i) =>
            i === 0
              ? h('th', { scope: 'row' }, cell)
              : h('td', { 'data-head': heads[i] ?? '' }, h('div', {}, cell)),
          ),
        ),
      ),
    ),
  )
}
