import { connect, openIndexedDbStore, type Keyferry } from 'keyferry'
import { enrollAt, openIdentity, renewBy } from 'keyferry/enroll'
import { StrictMode, useEffect, useState } from 'react'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { Note } from './note.tsx'

async function open(signal: AbortSignal): Promise<Keyferry> {
  const store = await openIndexedDbStore('notes-app')
  const enroll = enrollAt('/enroll')
  const identity = await openIdentity({ name: 'web', store, enroll })
  const config = await (await fetch('/keyferry.json')).json()
  return connect({ config, identity, store, renew: renewBy(enroll), signal })
}

function App() {
  const [keyferry, setKeyferry] = useState<Keyferry | null>(null)
  const [failure, setFailure] = useState<string>()
  useEffect(() => {
    const stop = new AbortController()
    open(stop.signal).then(
      (client) => stop.signal.aborted || setKeyferry(client),
      (error: Error) => stop.signal.aborted || setFailure(error.message),
    )
    return () => stop.abort()
  }, [])
  if (failure !== undefined) return <p id="state">{failure}</p>
  return <Note keyferry={keyferry} />
}

const root = document.querySelector('#app')!
const app = (
  <StrictMode>
    <App />
  </StrictMode>
)
// What a server has rendered is taken over; an empty page begins here.
if (root.hasChildNodes()) hydrateRoot(root, app)
else createRoot(root).render(app)
