/** What a relay sees of this tenant, in plain words and with what it sees now (docs/THREAT-MODEL.md, at its beginning). */
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { parseAnchor } from '../../shared/x509.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import { type Visible } from './types.ts'

/** How many values of a kind are shown. */
const MOST = 20

function some(what: string, values: readonly string[]): Visible['sees'][number] {
  return { what, values: values.slice(0, MOST), more: Math.max(0, values.length - MOST) }
}

/** What a relay sees, and what it does not. */
export async function visibleToRelay(store: Store): Promise<Visible> {
  const { tenant, body } = await newestTrust(store)
  const rings = store.all<{ id: Bytes; members_size: number; generation: number; n: number }>(
    `SELECT k.id, k.members_size, k.generation, (SELECT count(*) FROM versions v WHERE v.keyring = k.id AND v.committed = 1) AS n
     FROM keyrings k WHERE k.release IS NOT NULL ORDER BY k.id`,
  )
  const uris = store.all<{ uri: string }>('SELECT DISTINCT uri FROM devices ORDER BY uri')
  const rules = store
    .all<{ rules: string }>('SELECT rules FROM keyrings')
    .flatMap(({ rules: text }) => JSON.parse(text) as string[])
  const { n, bytes } = store.get<{ n: number; bytes: number }>(
    'SELECT count(*) AS n, coalesce(sum(length(body)), 0) AS bytes FROM objects',
  )!
  const anchors = [...body.clients.anchors, ...body.derivers.anchors]
  return {
    sees: [
      some('The tenant id', [tenant]),
      some('Addresses of relays, and origins of web apps', [...body.relays, ...body.origins]),
      some('CA certificates, by key', [
        ...new Set(anchors.map((der) => hex(parseAnchor(der).spki).slice(-16))),
      ]),
      some('Rules: which URIs may be clients, and which may have keyrings', [
        ...new Set([...body.clients.sans, ...body.derivers.sans, ...rules]),
      ]),
      some(
        'Clients, by the URI in their certificates',
        uris.map(({ uri }) => uri),
      ),
      some(
        'Keyrings, by a random id: members, generation, versions',
        rings.map(
          ({ id, members_size, generation, n: versions }) =>
            `${base64url(new Uint8Array(id))}: ${members_size} members, generation ${generation}, ${versions} versions`,
        ),
      ),
      some('Sizes and numbers of what it stores', [`${n} objects, ${bytes} bytes`]),
      some('Who asks and fetches, when, and from which network address', []),
      some('Refusals, with the reasons that clients are told', []),
      some('When keyrings rotate, and when members come and go', []),
    ],
    never: [
      'Keys of any kind: it stores them wrapped, and nothing that it sees opens one',
      'Messages, files and whatever else clients encrypt',
      'Names of keyrings',
      'The audit log, but for its size, its root and what releases say anyway',
      'Who decides here, and who opens this console',
    ],
  }
}
