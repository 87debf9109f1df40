import { connect, openIndexedDbStore, type Keyferry } from 'keyferry'
import { enrollAt, openIdentity, renewBy } from 'keyferry/enroll'
import { StrictMode, useEffect, useState } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { Note } from './note.tsx'

async function open(signal: AbortSignal): Promise<Keyferry> {
  const store = await openIndexedDbStore('react-app')
  const enroll = enrollAt('/enroll')
  const identity = await openIdentity({ name: 'web', store, enroll })
  const config = await (await fetch('/keyferry.json')).json()
  return connect({ config, identity, store, renew: renewBy(enroll), signal })
}

function App() {
  const [keyferry, setKeyferry] = useState<Keyferry | null>(null)
  const [failure, setFailure] = useState<unknown>()
  useEffect(() => {
    const stop = new AbortController()
    open(stop.signal).then(
      (client) => stop.signal.aborted || setKeyferry(client),
      (error: unknown) => stop.signal.aborted || setFailure(error),
    )
    return () => stop.abort()
  }, [])
  if (failure !== undefined) throw failure
  return <Note keyferry={keyferry} />
}

hydrateRoot(
  document.querySelector('#app')!,
  <StrictMode>
    <App />
  </StrictMode>,
)
