/** The real Worker behind real HTTP, as wrangler.toml describes it; only Node. */
import { createTestHarness, type TestHarness } from 'wrangler'
import { INVITE, type Relay } from './calls.ts'

export interface TestRelay extends Relay {
  harness: TestHarness
  close: () => Promise<void>
}

/** Each call from an address of its own, for the rate limiter; in production the platform sets this header. */
export function address(): Record<string, string> {
  return { 'cf-connecting-ip': crypto.getRandomValues(new Uint8Array(4)).join('.') }
}

/** Starts a relay with empty storage. `vars` override the Worker's. */
export async function startRelay(
  vars: Record<string, string> = { INVITES: `other,${INVITE}` },
): Promise<TestRelay> {
  const harness = createTestHarness({ workers: [{ configPath: './wrangler.toml', vars }] })
  const { url } = await harness.listen()
  return {
    harness,
    url,
    fetch: (at, init) => {
      const headers = new Headers(init.headers)
      for (const [name, value] of Object.entries(address())) {
        if (!headers.has(name)) headers.set(name, value)
      }
      return fetch(at, { ...init, headers })
    },
    close: () => harness.close(),
  }
}
