/** Revocation lists in force, of the built-in CAs and of the customer's own. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { checkCrl, parseCrl, type Crl } from '../shared/crl.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { parseAnchor } from '../shared/x509.ts'
import { noteListed } from './restored.ts'
import { markChanged, type Store } from './store.ts'

/** Takes a CRL into force. It must rise in number; equal bytes change nothing. Throws `ERR_ROLLBACK`, `ERR_FORK`. */
export function storeCrl(
  store: Store,
  issuer: Bytes,
  number: number,
  der: Bytes,
  nextUpdate: number,
): boolean {
  const last = store.get<{ number: number; hash: Bytes }>(
    'SELECT number, hash FROM crls WHERE issuer = ?',
    issuer,
  )
  const hash = sha256(der)
  if (last !== undefined && equal(last.hash, hash)) return false
  if (last !== undefined && number < last.number)
    throw new KeyferryError('ERR_ROLLBACK', `CRL ${number} after ${last.number}`)
  if (last?.number === number)
    throw new KeyferryError('ERR_FORK', `two different CRLs have number ${number}`)
  store.run(
    'INSERT INTO crls VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (issuer) DO UPDATE SET number = ?2, hash = ?3, der = ?4, next_update = ?5',
    issuer,
    number,
    hash,
    der,
    nextUpdate,
  )
  markChanged(store)
  return true
}

/** Takes in a CRL of a CA that the trust document anchors, or that a stored path names as issuer. Throws `ERR_CRL`, `ERR_ROLLBACK`. */
export async function importCrl(
  store: Store,
  der: Bytes,
  issuers: readonly Bytes[],
  now: number,
): Promise<boolean> {
  return (await takeCrl(store, der, issuers, now)).isNew
}

/** {@link importCrl}, and which CA's it was: the key id, and the list's number. */
export async function takeCrl(
  store: Store,
  der: Bytes,
  issuers: readonly Bytes[],
  now: number,
): Promise<{ isNew: boolean; issuer: Bytes; number: number }> {
  const crl = parseCrl(der)
  let cause: unknown
  for (const certificate of issuers) {
    const issuer = parseAnchor(certificate)
    if (!equal(issuer.subject, crl.issuer)) continue
    try {
      const checked = await checkCrl(crl, issuer, now)
      const { issuerKeyId, number, nextUpdate } = checked
      const isNew = store.transaction(() => {
        const stored = storeCrl(store, issuerKeyId, number, der, nextUpdate)
        // PROTOCOL [restore-3]
        noteListed(store, issuerKeyId, now)
        return stored
      })
      return { isNew, issuer: issuerKeyId, number }
    } catch (error) {
      // A CA that renewed its key has the same name twice.
      if (!isKeyferryError(error, 'ERR_CRL')) throw error
      cause = error
    }
  }
  throw new KeyferryError('ERR_CRL', 'no CA that the trust document names has signed it', { cause })
}

/** CRLs in force, parsed once for as long as they stay the same. */
export function parsedCrls(store: Store): readonly Crl[] {
  const rows = store.all<{ hash: Bytes; der: Bytes }>('SELECT hash, der FROM crls ORDER BY issuer')
  const known = parsed.get(store)
  const tag = rows.map(({ hash }) => hex(hash)).join()
  if (known?.tag === tag) return known.crls
  const crls = rows.map(({ der }) => parseCrl(new Uint8Array(der)))
  parsed.set(store, { tag, crls })
  return crls
}

const parsed = new WeakMap<Store, { tag: string; crls: readonly Crl[] }>()

/** CRLs in force by the key id of their issuer, in hex. */
export function crlsByIssuer(store: Store): Map<string, Crl> {
  const rows = store.all<{ issuer: Bytes }>('SELECT issuer FROM crls ORDER BY issuer')
  const crls = parsedCrls(store)
  return new Map(rows.map(({ issuer }, i) => [hex(issuer), crls[i]!]))
}

/** Counter of what the last CRL of a built-in CA listed, by its key id. */
export const listedName = (issuer: Bytes): string => `listed-${hex(issuer)}`

/** Whether a key is that of a built-in CA. */
export function isBuiltInCa(store: Store, issuer: Bytes): boolean {
  return store.get('SELECT 1 FROM meta WHERE name = ?', listedName(issuer)) !== undefined
}
