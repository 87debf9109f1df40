/** Questions before something is done: what it will do, and a way back, which has the focus. */
import { h, type Child } from './dom.ts'

/** What is asked. */
export interface Question {
  title: string
  body: Child[]
  /** On the button that does it. */
  verb: string
  isDanger?: boolean
  /** Does it. What it throws is shown, and the dialog stays. */
  act: () => Promise<void>
}

/** Asks, and does it. Resolves when the dialog is closed. */
export function ask({ title, body, verb, isDanger = false, act }: Question): Promise<void> {
  const before = document.activeElement
  const problem = h('p', { class: 'error', role: 'alert', hidden: true })
  const cancel = h('button', { type: 'button', class: 'button' }, 'Cancel')
  const go = h(
    'button',
    { type: 'submit', class: `button ${isDanger ? 'danger-fill' : 'primary'}` },
    verb,
  )
  const form = h(
    'form',
    {},
    h('h2', { id: 'dialog-title' }, title),
    ...body,
    problem,
    h('div', { class: 'dialog-buttons' }, cancel, go),
  )
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form)
  document.body.append(dialog)
  cancel.addEventListener('click', () => dialog.close())
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    go.disabled = true
    problem.hidden = true
    act().then(
      () => dialog.close(),
      (error: unknown) => {
        problem.textContent = (error as Error).message
        problem.hidden = false
        go.disabled = false
      },
    )
  })
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove()
      if (before instanceof HTMLElement) before.focus()
      resolve()
    })
    dialog.showModal()
    cancel.focus()
  })
}

/** Says for a moment what was done; screen readers say it, too. */
export function say(text: string): void {
  const place = document.getElementById('said')!
  const line = h('p', { class: 'toast' }, text)
  place.append(line)
  setTimeout(() => line.remove(), 6_000)
}
