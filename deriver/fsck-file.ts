/** What `relay export` wrote, looked through as fsck.ts does it with a relay: what an operator hands over of a tenant is worth what the tenant can verify of it. */
import { documentsSchema } from '../shared/deriver-calls.ts'
import { KeyferryError } from '../shared/errors.ts'
import { parseJson } from '../shared/json.ts'
import { MAX_OBJECT } from '../shared/limits.ts'
import { peekHead } from '../shared/release.ts'
import { bytes, object, text } from '../shared/schema.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { TENANT_ID } from '../shared/trust-following.ts'
import { checkStored, Stored, type RelayReport } from './fsck.ts'
import { readLines } from './lines.ts'
import { MAX_ANSWER } from './relay.ts'

/** Bytes of a line at most: the documents, with the tenant's id before them. */
const MAX_LINE = MAX_ANSWER + 128
const firstSchema = object({ documents: documentsSchema, tenant: text(52, TENANT_ID) })
const objectSchema = object({ object: bytes(1, MAX_OBJECT) })

/**
 * Checks a file, as of the time of the head in it: it stays as it was, while heads and lists run out. `trusts` are the trust documents of the own database; `progress` is
 * told how many objects were read. Throws `ERR_IO`, `ERR_TENANT`, and the codes of decoding: then nothing is known. What is wrong stands in `problems`.
 */
export async function checkExport(
  path: string,
  trusts: readonly TrustDocument[],
  progress: (objects: number) => void = () => {},
): Promise<RelayReport> {
  const { tenant } = trusts.at(-1)!
  const stored = new Stored()
  let first: ReturnType<typeof firstSchema> | undefined
  for (const line of readLines(path, MAX_LINE)) {
    if (first === undefined) {
      first = firstSchema(parseJson(line, MAX_LINE), '')
      if (first.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
      continue
    }
    stored.add(objectSchema(parseJson(line, MAX_LINE), '').object)
    progress(stored.size)
  }
  if (first === undefined) throw new KeyferryError('ERR_MALFORMED', `${path} is empty`)
  const { documents } = first
  const now = documents.head === null ? 0 : peekHead(documents.head, tenant).issuedAt
  const own = { trusts, isNewest: false, now }
  const { report } = await checkStored(tenant, documents, stored, own, [])
  return { relay: path, requests: 0, ...report }
}
