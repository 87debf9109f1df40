/** Elements, numbers and times. Text is set as text: no markup is ever made from a string. */

/** Properties of an element: `class`, ARIA and data attributes, and `on…` listeners. */
type Properties = Record<string, string | number | boolean | ((event: Event) => void)>
/** What an element may hold. */
export type Child = Node | string | null

/** Makes an element. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false) element.setAttribute(name, String(value))
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

/** The element of this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`no element ${id}`)
  return element as T
}

const FORM = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
})
const DAY_FORM = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
})

/** A time from seconds, as a `time` element: a day, or with `isExact` a minute. */
export function time(seconds: number, isExact = false): HTMLTimeElement {
  const date = new Date(seconds * 1000)
  const text = (isExact ? FORM : DAY_FORM).format(date)
  return h('time', { datetime: date.toISOString(), title: date.toISOString() }, text)
}

const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const

/** A length of time for people: `3 minutes`. */
export function span(seconds: number): string {
  const size = Math.abs(seconds)
  for (const [unit, length] of UNITS) {
    if (size < length) continue
    const n = Math.round(size / length)
    return `${n} ${unit}${n === 1 ? '' : 's'}`
  }
  const n = Math.round(size)
  return `${n} second${n === 1 ? '' : 's'}`
}

/** How far a time is from now: `3 minutes ago`, `in 2 days`. */
export function fromNow(seconds: number, now: number): string {
  return seconds > now ? `in ${span(seconds - now)}` : `${span(now - seconds)} ago`
}

/** Digits of a hash, as many as people compare. */
export function short(id: string): HTMLElement {
  return h('code', { class: 'id', title: id }, id.slice(0, 12))
}

/** `1 device`, `2 devices`. */
export function count(n: number, what: string): string {
  return `${n.toLocaleString('en-GB')} ${what}${n === 1 ? '' : 's'}`
}
