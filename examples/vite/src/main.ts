import { connect, isKeyferryError, openIndexedDbStore } from 'keyferry'
import { enrollAt, openIdentity, renewBy } from 'keyferry/enroll'

const show = (text: string) => {
  document.querySelector('#note')!.textContent = text
}

try {
  const store = await openIndexedDbStore('notes-app')
  const enroll = enrollAt('/enroll')
  const identity = await openIdentity({ name: 'web', store, enroll })
  const config = await (await fetch('/keyferry.json')).json()
  const keyferry = await connect({ config, identity, store, renew: renewBy(enroll) })
  keyferry.on('ready', ({ milliseconds }) =>
    console.info(`first key: ${Math.round(milliseconds)} ms`),
  )

  const notes = await keyferry.keyring('notes')
  const message = await notes.encrypt('Hello', { context: 'note/17' })
  show(await notes.decrypt(message, { context: 'note/17', as: 'text' }))
} catch (error) {
  show(isKeyferryError(error) ? `${error.code}: ${error.message}` : String(error))
}
