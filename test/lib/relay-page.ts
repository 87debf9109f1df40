/** A page of an app in a real browser, with the client in it and the relay of client-relay.ts behind real HTTP. */
import { parseCsr } from '../../shared/csr.ts'
import { issueLeaf } from '../../shared/issue.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { ClientRelay } from './client-relay.ts'
import { startPageApp, type Answer, type PageApp } from './page-app.ts'
import { CLIENT_AUTH, DAY, random, uriOf } from './world.ts'

/** What the page's script has: the client and the enrolment. */
export const LIBRARY =
  "import * as client from './web/index.ts'; import * as enroll from './web/enroll.ts'; globalThis.library = { ...client, ...enroll }"

export type Library = typeof import('../../web/index.ts') & typeof import('../../web/enroll.ts')

async function enroll(relay: ClientRelay, csrPem: string): Promise<string> {
  const { spki } = await parseCsr(decodePem(csrPem, 'CERTIFICATE REQUEST')[0]!)
  const certificate = await issueLeaf({
    issuer: relay.world.cas.client,
    spki,
    commonName: 'kim',
    uri: uriOf('client', 'kim'),
    eku: [CLIENT_AUTH],
    notBefore: relay.now - 60,
    notAfter: relay.now + 30 * DAY,
    random,
  })
  return encodePem('CERTIFICATE', certificate)
}

/** Starts the app; `certify` and the relay's paths are on its own origin. */
export async function startRelayPage(
  relay: ClientRelay,
  script: string = LIBRARY,
  isIsolated = false,
): Promise<PageApp & { config: AppConfigJson }> {
  const answer: Answer = async (url, { method, body }) => {
    if (url.pathname === '/certify')
      return new Response(await enroll(relay, new TextDecoder().decode(body)))
    return relay.fetch(url, { method, body })
  }
  const app = await startPageApp(script, answer, isIsolated)
  return { ...app, config: relay.config([app.origin]) }
}
