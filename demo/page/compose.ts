/** Writing: a note, a chosen file, or a file dropped anywhere on the page. */
import { codeOf, explain } from './codes.ts'
import { byId, setText, size } from './dom.ts'
import { type Messages } from './messages.ts'

function fail(error: unknown): void {
  const box = byId('compose-error')
  box.textContent = `${explain(error)} (${codeOf(error)})`
  box.hidden = false
}

/** Runs one sending at a time and shows what went wrong with it. */
async function sending(work: () => Promise<void>): Promise<void> {
  const controls = [byId<HTMLButtonElement>('send'), byId<HTMLInputElement>('file')]
  if (controls.some((control) => control.disabled)) return
  byId('compose-error').hidden = true
  for (const control of controls) control.disabled = true
  try {
    await work()
  } catch (error) {
    fail(error)
  } finally {
    for (const control of controls) control.disabled = false
  }
}

async function sendFile(messages: Messages, file: File): Promise<void> {
  const bar = byId<HTMLProgressElement>('upload-bar')
  const box = byId('upload')
  bar.value = 0
  box.hidden = false
  try {
    await messages.sendFile(file, (done) => {
      bar.value = file.size === 0 ? 1 : done / file.size
      setText('upload-text', `Encrypting ${file.name}: ${size(done)} of ${size(file.size)}`)
    })
  } finally {
    box.hidden = true
  }
}

/** Sets the form up. */
export function startCompose(messages: Messages): void {
  const note = byId<HTMLTextAreaElement>('note')
  const form = byId<HTMLFormElement>('compose')
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const text = note.value.trim()
    if (text === '') return
    void sending(async () => {
      await messages.sendNote(text)
      note.value = ''
    })
  })
  note.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })

  const input = byId<HTMLInputElement>('file')
  const send = (file: File | undefined): void => {
    if (file !== undefined) void sending(() => sendFile(messages, file))
  }
  input.addEventListener('change', () => {
    send(input.files?.[0])
    input.value = ''
  })

  const veil = byId('veil')
  const hasFile = (event: DragEvent): boolean =>
    event.dataTransfer?.types.includes('Files') === true
  document.addEventListener('dragover', (event) => {
    if (!hasFile(event)) return
    event.preventDefault()
    veil.hidden = false
  })
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) veil.hidden = true
  })
  document.addEventListener('drop', (event) => {
    veil.hidden = true
    if (!hasFile(event)) return
    event.preventDefault()
    send(event.dataTransfer?.files[0])
  })
}
