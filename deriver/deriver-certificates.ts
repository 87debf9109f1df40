/** Certificates of derivers that the built-in CA issued: their list, and their end. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { parseCertificate } from '../shared/x509.ts'
import { appendLog } from './log.ts'
import { markChanged, type Store } from './store.ts'

/** A deriver certificate that is not expired. `notAfter` and `revoked` are seconds. */
export interface DeriverCertificate {
  serial: string
  uri: string
  notAfter: number
  revoked: number | null
}

/** Deriver certificates of the built-in CA that are not expired. */
export function deriverCertificates(store: Store, now: number): DeriverCertificate[] {
  return store.all<DeriverCertificate>(
    "SELECT serial, uri, not_after AS notAfter, revoked FROM issued WHERE role = 'deriver' AND not_after >= ? ORDER BY not_after, serial",
    now,
  )
}

/**
 * Puts deriver certificates on the next CRL: one by its serial (hex), or with `null` all. A running service then takes a new key and certificate.
 * Returns how many. Throws `ERR_NOT_FOUND` where there is none to revoke.
 */
export function revokeDerivers(store: Store, serial: string | null, now: number): number {
  return store.transaction(() => {
    const due = deriverCertificates(store, now).filter(
      (one) => one.revoked === null && (serial === null || one.serial === serial),
    )
    if (due.length === 0)
      throw new KeyferryError('ERR_NOT_FOUND', 'no deriver certificate to revoke')
    for (const one of due) {
      appendLog(store, 'certificate-revoked', now, { serial: one.serial, uri: one.uri })
      store.run('UPDATE issued SET revoked = ? WHERE serial = ?', now, one.serial)
    }
    markChanged(store)
    return due.length
  })
}

/** Whether a deriver's certificate was revoked here. */
export function isDeriverRevoked(store: Store, certificate: Bytes): boolean {
  const serial = hex(parseCertificate(certificate).serial)
  const row = store.get<{ revoked: number | null }>(
    'SELECT revoked FROM issued WHERE serial = ?',
    serial,
  )
  return row !== undefined && row.revoked !== null
}
