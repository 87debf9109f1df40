/** Elements, numbers and times. Text is set as text: no markup is ever made from a string. */

import { byId, h } from '../../deriver/console/page/dom.ts'

export { byId, h }

/** Sets an element's text, only if it differs, so that screen readers and animations are not disturbed. */
export function setText(id: string, text: string): void {
  const element = byId(id)
  if (element.textContent !== text) element.textContent = text
}

/** Adds class `flash` for the length of its animation. */
export function flash(element: HTMLElement): void {
  element.classList.remove('flash')
  requestAnimationFrame(() => element.classList.add('flash'))
}

/** A number of bytes for people. */
export function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = ''
  for (const next of units) {
    value /= 1_000
    unit = next
    if (value < 999.5) break
  }
  return `${value < 100 ? Number(value.toFixed(1)) : Math.round(value)} ${unit}`
}

/** A time of day from milliseconds. */
export function clock(time: number): string {
  return new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}

/** A date from seconds. */
export function day(seconds: number): string {
  const options = { day: 'numeric', month: 'short', year: 'numeric' } as const
  return new Date(seconds * 1000).toLocaleDateString('en-GB', options)
}

/** A name as people write it. */
export function title(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

/** A round picture of a name. */
export function avatar(name: string, className: string = 'avatar'): HTMLElement {
  const tone = String((name.charCodeAt(0) + name.length) % 3)
  const properties = { class: className, 'data-tone': tone, 'aria-hidden': 'true' }
  return h('span', properties, title(name).charAt(0))
}
