/** A page of an app in a real browser, with the client in it and the relay of client-relay.ts behind real HTTP. */
import { type AppConfigJson } from '../../shared/config.ts'
import { certifyKim } from './certify.ts'
import { type ClientRelay } from './client-relay.ts'
import { startPageApp, type Answer, type PageApp } from './page-app.ts'

/** What the page's script has: the client and the enrolment. */
export const LIBRARY =
  "import * as client from './web/index.ts'; import * as enroll from './web/enroll.ts'; globalThis.library = { ...client, ...enroll }"

export type Library = typeof import('../../web/index.ts') & typeof import('../../web/enroll.ts')

/** Starts the app; `certify` and the relay's paths are on its own origin. */
export async function startRelayPage(
  relay: ClientRelay,
  script: string = LIBRARY,
  isIsolated = false,
): Promise<PageApp & { config: AppConfigJson }> {
  const answer: Answer = async (url, { method, body }) => {
    if (url.pathname === '/certify')
      return new Response(await certifyKim(relay, new TextDecoder().decode(body)))
    return relay.fetch(url, { method, body })
  }
  const app = await startPageApp(script, answer, { isIsolated })
  return { ...app, config: relay.config([app.origin]) }
}
