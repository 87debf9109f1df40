/** Calls to the console's API, as docs/console.md has it. */
import { type SessionView } from '../types.ts'

/** An answer that is none: its code and message are the server's. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Cookies are of all ports of a host. This is of this page alone, and a session is both. */
const PROOF = 'keyferry-proof'

function headers(): Record<string, string> {
  return { [PROOF]: localStorage.getItem(PROOF) ?? '' }
}

async function answer<T>(response: Response): Promise<T> {
  const body = (await response.json().catch(() => ({}))) as { code?: string; message?: string }
  if (response.ok) return body as T
  throw new ApiError(body.code ?? 'ERR_INTERNAL', body.message ?? `status ${response.status}`)
}

/** Reads. */
export async function get<T>(path: string): Promise<T> {
  return answer<T>(await fetch(`api/${path}`, { headers: headers() }))
}

/** Changes something. */
export async function post<T>(path: string, body: object = {}): Promise<T> {
  const response = await fetch(`api/${path}`, {
    method: 'POST',
    headers: { ...headers(), 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return answer<T>(response)
}

/** Opens a session with the token of a link. */
export async function login(token: string): Promise<SessionView> {
  const session = await post<SessionView>('login', { token })
  localStorage.setItem(PROOF, session.proof ?? '')
  return session
}

export async function logout(): Promise<void> {
  await post('logout').catch(() => {})
  localStorage.removeItem(PROOF)
}

/** Listens until the signal; `changed` is called for each event, `isOpen` with how it stands. Opens again by itself. */
export async function listen(
  signal: AbortSignal,
  changed: () => void,
  isOpen: (open: boolean) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const response = await fetch('api/events', { headers: headers(), signal })
      if (response.ok && response.body !== null) {
        isOpen(true)
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
        for (let part = await reader.read(); !part.done; part = await reader.read())
          if (part.value.includes('event:')) changed()
      } else if (response.status === 401) changed()
    } catch {
      // The server is away, or the signal came.
    }
    if (signal.aborted) return
    isOpen(false)
    await new Promise((resolve) => setTimeout(resolve, 2_000))
  }
}
