/** "Be the insider", drawn: the attacks to choose from, and what became of the one that is on. */
import { type InsiderNews } from './api.ts'

import { ATTACKS, isSilent, type AttackText } from './attacks.ts'
import { type Freshness } from './client.ts'
import { sentenceOf } from './codes.ts'
import { byId, h, setText, title } from './dom.ts'

/** What the panel shows. */
export interface InsiderFacts {
  news: InsiderNews
  /** Of this page. */
  name: string
  /** The attack that was just chosen; empty once the relay does it. */
  starting: string
  /** How this browser refused; empty if it did not. */
  code: string
  /** Code by attack, of those that were played in this page. */
  tried: ReadonlyMap<string, string>
  /** What could be decrypted again. */
  kept: { opened: number; of: number }
  head: number
  freshness: Freshness
  /** The relay is honest, and this browser has yet to ask it. */
  isCatchingUp: boolean
  /** The last attack was a split: whether it has healed is to be seen. */
  wasSplit: boolean
  isRevoked: boolean
}

/** Makes the buttons. */
export function makeAttacks(onChoose: (id: string) => void): void {
  const buttons = ATTACKS.map(({ id, label }) =>
    h(
      'button',
      { type: 'button', class: 'attack', 'data-attack': id, onclick: () => onChoose(id) },
      h('span', {}, label),
      h('span', { class: 'verdict' }),
    ),
  )
  byId('attacks').replaceChildren(...buttons)
}

function drawAttacks({ news, starting, tried, isRevoked }: InsiderFacts): void {
  const on = starting === '' ? news.playing?.attack : starting
  for (const button of byId('attacks').querySelectorAll('button')) {
    const id = button.dataset['attack']!
    button.setAttribute('aria-pressed', String(id === on))
    button.disabled = isRevoked
    const verdict = button.querySelector('.verdict')!
    const code = tried.get(id) ?? ''
    if (verdict.textContent !== code) verdict.textContent = code
  }
}

function clockOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
}

/** How this browser answered. */
function answerOf(facts: InsiderFacts, attack: AttackText | undefined): string {
  const { news, name, code, head, isCatchingUp } = facts
  if (attack === undefined)
    return isCatchingUp
      ? 'It asks the relay again …'
      : `It verified every statement and goes on under head ${head}.`
  if (code !== '') return code === attack.code ? attack.why : sentenceOf(code)
  const by = news.playing!.by
  if (isSilent(attack.id, by === name))
    return `It cannot know yet, and goes on under head ${head}: only until that ends.`
  if (attack.id === 'split')
    return `It is shown the newest head, ${head}; ${title(by)}’s browser is the one kept behind.`
  return 'It waits for the relay’s next answer …'
}

function keptOf({ opened, of }: InsiderFacts['kept']): string {
  if (of === 0) return 'None here yet: write a note above, and see it stay readable.'
  if (opened < of) return `Only ${opened} of ${of} could be decrypted just now.`
  return of === 1
    ? 'The one here still decrypts, tried just now.'
    : `All ${of} here still decrypt, tried just now.`
}

/** How long this browser can go on with what it has. `now` in seconds. */
function boundOf({ freshness, head }: InsiderFacts, { id }: AttackText, now: number): string {
  const { lifetime, skew, until } = freshness
  const end = clockOf(until)
  if (now > until)
    return `Since ${end} it encrypts nothing under head ${head}. Decrypting goes on; encrypting waits for a fresh head.`
  const left = `With head ${head} it can go on until ${end}, ${until - now}\u00A0s from now.`
  return isSilent(id, true)
    ? `${left} A head lives ${lifetime}\u00A0s here, and ${skew}\u00A0s more for clocks that differ; an hour and a minute unless a customer chooses otherwise.`
    : left
}

function drawViews({ news, name, wasSplit }: InsiderFacts): void {
  const list = byId('insider-views')
  list.hidden = !wasSplit
  if (!wasSplit) return
  const newest = Math.max(...news.views.map(({ head }) => head))
  const rows = news.views.map((view) =>
    h(
      'li',
      { 'data-view': view.name },
      h('b', {}, view.name === name ? `${title(view.name)} (you)` : title(view.name)),
      h('span', {}, `head ${view.head}`),
      view.code === ''
        ? h('span', { class: 'muted' }, view.head < newest ? 'behind' : 'newest')
        : h('span', { class: 'code' }, view.code),
    ),
  )
  if (news.views.length < 2)
    rows.push(h('li', { class: 'muted' }, 'Open another tab to see its view beside this one.'))
  const text = rows.map((row) => row.textContent).join('\n')
  if (list.dataset['drawn'] === text) return
  list.dataset['drawn'] = text
  list.replaceChildren(...rows)
}

/** Draws everything anew; what is the same is left alone. `now` in seconds. */
export function drawInsider(facts: InsiderFacts, now: number): void {
  const { news, starting, code, isRevoked } = facts
  const attack = ATTACKS.find(({ id }) => id === news.playing?.attack)
  drawAttacks(facts)
  byId('outcome').dataset['state'] =
    attack === undefined ? 'honest' : code === '' ? 'on' : 'refused'
  const honest = 'It is honest: it passes on what Acme’s deriver signed.'
  setText('insider-did', starting === '' ? (attack?.did ?? honest) : 'It gets ready …')
  const chip = byId('insider-code')
  chip.hidden = attack === undefined || code === ''
  setText('insider-code', chip.hidden ? '' : code)
  setText('insider-answer', answerOf(facts, attack))
  setText('insider-kept', keptOf(facts.kept))
  drawViews(facts)
  setText('insider-bound', attack === undefined ? '' : boundOf(facts, attack, now))
  byId<HTMLButtonElement>('insider-stop').disabled = attack === undefined || isRevoked
}
