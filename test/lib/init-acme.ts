/** Acme's tenant, as tests make it unless they say otherwise: keys that are not sealed, no pages, now. */
import { initTenant, type InitOptions } from '../../deriver/tenant.ts'

/** Makes the tenant in a directory; resolves with its id. */
export function initAcme(
  directory: string,
  relays: string[],
  more: Partial<InitOptions> = {},
): Promise<string> {
  return initTenant({
    directory,
    organization: 'Acme',
    domain: 'acme.example',
    relays,
    origins: [],
    passphrase: null,
    now: Math.floor(Date.now() / 1000),
    ...more,
  })
}
