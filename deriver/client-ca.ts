/**
 * The client-issuing CA alone, for a web app's enrolment backend: it opens `keys/ca-client.json` and `ca.db` and nothing else, so that who breaks
 * into the backend can issue client certificates, and can neither become the deriver nor read a key or a salt.
 */
import { readFileSync, statSync } from 'node:fs'
import { hex, type Bytes } from '../shared/bytes.ts'
import { parseCsr } from '../shared/csr.ts'
import { KeyferryError } from '../shared/errors.ts'
import { encodePem } from '../shared/pem.ts'
import { keyId } from '../shared/signature.ts'
import { issueClient } from './ca.ts'
import { readCa } from './key-files.ts'
import { caStorePath, openCaStore, type Store } from './store.ts'

/** What a {@link ClientCa} is opened with. */
export interface ClientCaOptions {
  /** The deriver's directory, or one that holds `keys/ca-client.json` alone (`keyferry ca export-enrolment`). */
  directory: string
  /** `null` where the key file is unsealed. */
  passphrase: string | null
  /** Seconds since 1970. */
  now?: () => number
  /** A file of key ids, one a line (`keyferry ca denied`), that get no certificate either; read anew each time. */
  deny?: string
}

/** A key that has or had a certificate of a URI. */
export interface ClientKey {
  keyId: Bytes
  /** Empty for one that a version without this column issued: no signature is by it. */
  spki: Bytes
  /** Seconds, of its last certificate. */
  notAfter: number
  isRevoked: boolean
}

/** The client-issuing CA, as `createEnrolment` of `keyferry/enrolment` takes it. */
export interface ClientCa {
  /**
   * Issues for a CSR (DER) under the URI that the caller decided; `lifetime` in seconds, 30 days unless given; with `isFirst` only if no other key
   * ever had the URI. Returns PEM, end-entity first. Throws `ERR_DENIED` for a revoked key, `ERR_CONFLICT` where another key was first,
   * `ERR_PATH_INVALID` for a URI that the CA may not name, `ERR_IO`, and the codes of `parseCsr`.
   */
  issue(request: { csr: Bytes; uri: string; lifetime?: number; isFirst?: boolean }): Promise<string>
  /** Every key that ever had a certificate of this URI, newest first: expired and revoked ones too, so that a further one is known as such. */
  keysOf(uri: string): Promise<ClientKey[]>
  close(): void
}

/** A list of some 15,000 keys. */
const MAX_DENY_FILE = 1_048_576

/** Key ids of a deny list, in hex. Throws `ERR_IO`: a list that cannot be read denies nobody, so nothing is issued. */
function readDenied(path: string): Set<string> {
  try {
    if (statSync(path).size > MAX_DENY_FILE) throw new KeyferryError('ERR_TOO_LARGE')
    const lines = readFileSync(path, 'utf8').split(/\r?\n/)
    const ids = lines.map((line) => line.trim()).filter((line) => line !== '')
    if (!ids.every((id) => /^[0-9a-f]{64}$/.test(id)))
      throw new KeyferryError('ERR_MALFORMED', 'not a list of key ids')
    return new Set(ids)
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} is not a list of key ids`, { cause })
  }
}

interface KeyRow {
  key_id: Bytes
  spki: Bytes
  until: number
  is_revoked: number
}

function keysIn(store: Store, uri: string): KeyRow[] {
  return store.all<KeyRow>(
    `SELECT key_id, max(spki) AS spki, max(not_after) AS until,
       max(revoked IS NOT NULL) OR key_id IN (SELECT key_id FROM denied) AS is_revoked
     FROM issued WHERE role = 'client' AND uri = ? GROUP BY key_id ORDER BY max(made) DESC, until DESC`,
    uri,
  )
}

/** Opens the client-issuing CA. Throws `ERR_IO`, `ERR_PASSPHRASE`, `ERR_STATE`. */
export async function openClientCa(options: ClientCaOptions): Promise<ClientCa> {
  const { directory, passphrase, deny } = options
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  const issuer = await readCa(directory, 'ca-client', passphrase)
  const store = openCaStore(caStorePath(directory))
  const denied = (): Set<string> => (deny === undefined ? new Set() : readDenied(deny))
  const isListed = (list: Set<string>, id: Bytes): boolean => list.has(hex(id))
  return {
    async issue({ csr, uri, lifetime, isFirst }) {
      const { spki } = await parseCsr(csr)
      if (isListed(denied(), await keyId(spki)))
        throw new KeyferryError('ERR_DENIED', 'this key was revoked')
      const der = await issueClient(store, issuer, csr, uri, now(), lifetime, isFirst)
      return encodePem('CERTIFICATE', der)
    },
    keysOf(uri) {
      const list = denied()
      return Promise.resolve(
        keysIn(store, uri).map((row) => ({
          keyId: new Uint8Array(row.key_id),
          spki: new Uint8Array(row.spki),
          notAfter: row.until,
          isRevoked: row.is_revoked === 1 || isListed(list, row.key_id),
        })),
      )
    },
    close: () => store.close(),
  }
}
