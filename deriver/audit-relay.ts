/** The heads that relays kept, fetched by whoever has a certificate of the tenant. */
import { type Envelope } from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { type Kept } from './audit-verify.ts'
import { fetchHeads, type RelayAccess } from './relay.ts'

/** Pages that are asked for: more than a relay keeps. */
const MOST_PAGES = 400

/** All heads that a relay kept, by its word. Throws `ERR_RELAY` for a relay without an end, and what calls throw. */
async function fetchAllHeads(access: RelayAccess): Promise<Envelope[]> {
  const all: Envelope[] = []
  let after = 0
  for (let page = 0; page < MOST_PAGES; page++) {
    const { heads, next } = await fetchHeads(access, after)
    if (heads.length === 0) return all
    if (next <= after) break
    all.push(...heads)
    after = next
  }
  throw new KeyferryError('ERR_RELAY', `${access.url} gives heads without an end`)
}

/** What relays kept, and which of them could not be asked. */
export async function askRelays(
  accesses: readonly RelayAccess[],
): Promise<{ kept: Kept[]; failed: string[] }> {
  const kept: Kept[] = []
  const failed: string[] = []
  for (const access of accesses) {
    try {
      kept.push({ by: access.url, heads: await fetchAllHeads(access) })
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      failed.push(`${access.url}: ${error.message} (${error.code})`)
    }
  }
  return { kept, failed }
}
