/** What a relay acknowledged to a deriver, and whether it is still there. */
import { fetchHeads, fetchObjects, type RelayAccess } from '../../deriver/relay.ts'
import { paths } from '../../shared/api.ts'
import { decodeBatch } from '../../shared/deriver-calls.ts'
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { decodeEnvelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson, parseJson } from '../../shared/json.ts'
import { MAX_BATCH } from '../../shared/limits.ts'
import { decodeHead, type HeadBody } from '../../shared/release.ts'

/** A head's log by size and root: what the relay keeps of every head that it took. */
function logOf({ log }: Pick<HeadBody, 'log'>): string {
  return `${log.size} ${base64url(log.root)}`
}

export class Acknowledged {
  /** Hashes of uploaded objects, in hex. */
  readonly objects = new Set<string>()
  /** Bodies of pushed heads, by version. */
  readonly heads = new Map<number, HeadBody>()
  /** Signs that the relay had lost something, which the deriver then brought again: what is brought again would be found there. */
  readonly healed: string[] = []
  #enrolments = 0

  /** A `fetch` that notes what is answered. */
  watch(call: typeof fetch = fetch): typeof fetch {
    return async (input, init) => {
      const response = await call(input, init)
      const path = new URL(input instanceof Request ? input.url : input).pathname
      if (init?.method !== 'POST') return response
      if (response.status === 204) this.#note(path, init.body as Bytes)
      if (path === paths.tenants && response.ok && this.#enrolments++ > 0)
        this.healed.push('the tenant was enrolled again')
      if (response.status === 422 && path.endsWith('/push'))
        this.healed.push('a push was refused: something that it names was not there')
      return response
    }
  }

  #note(path: string, body: Bytes): void {
    if (path.endsWith('/objects'))
      for (const object of decodeBatch(body)) this.objects.add(hex(sha256(object)))
    if (!path.endsWith('/push')) return
    const { head } = parseJson(body, MAX_BATCH) as { head: object }
    const decoded = decodeHead(decodeEnvelope(encodeJson(head)))
    this.heads.set(decoded.version, decoded)
  }

  /** What there is now: the load goes on while it is looked for. */
  snapshot(): Pick<Acknowledged, 'objects' | 'heads'> {
    return { objects: new Set(this.objects), heads: new Map(this.heads) }
  }
}

/** What was acknowledged and is not there, in words. Throws where the relay does not answer. */
export async function findLost(
  { objects, heads: pushed }: Pick<Acknowledged, 'objects' | 'heads'>,
  access: RelayAccess,
  standing: number,
): Promise<string[]> {
  const newest = Math.max(0, ...pushed.keys())
  const lost = standing < newest ? [`head ${newest}: the relay has ${standing}`] : []
  const logs = new Set<string>()
  for (let after = 0; ;) {
    const { heads, next } = await fetchHeads(access, after)
    for (const head of heads) logs.add(logOf(decodeHead(head)))
    if (heads.length === 0 || next <= after) break
    after = next
  }
  for (const [version, head] of pushed)
    if (!logs.has(logOf(head))) lost.push(`head ${version}: not among those that are kept`)
  const stored = new Set<string>()
  for (let after: string | null = null; ;) {
    const { bodies, next } = await fetchObjects(access, after)
    for (const body of bodies) stored.add(hex(sha256(body)))
    if (next === null || next === after) break
    after = next
  }
  for (const hash of objects) if (!stored.has(hash)) lost.push(`object ${hash}`)
  return lost
}
