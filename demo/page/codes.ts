/** Error codes as sentences for people who use the app. */

const SENTENCES: Record<string, string> = {
  ERR_UNKNOWN_KEY: 'It is encrypted under a key that this device was not given.',
  ERR_KEY_VERSION: 'It is encrypted under a key version that may not be used any more.',
  ERR_OPEN: 'It was changed on the way, or it belongs somewhere else.',
  ERR_STALE: 'The relay has not shown a fresh signed head for too long.',
  ERR_REMOVED: 'Acme removed this device from the keyring.',
  ERR_DENIED: 'Acme does not give this keyring to this device.',
  ERR_PENDING: 'An administrator at Acme has to approve this device first.',
  ERR_UNPROVEN: 'The relay says that this device is no member, but no deriver signed that.',
  ERR_UNAUTHORIZED: 'The relay does not admit this device’s certificate any more.',
  ERR_CERT_REVOKED: 'Acme revoked this device’s certificate.',
  ERR_NEW_KEY:
    'This name has a key in another browser, and that one has to agree. Another name works at once.',
  ERR_NOT_RECIPIENT: 'This device is not among the recipients.',
  ERR_ROLLBACK: 'The relay showed something older than what this browser has already accepted.',
  ERR_PATH_INVALID: 'The relay showed a statement that none of Acme’s CAs stands behind.',
  ERR_SCHEMA: 'The relay showed a statement that lacks what it has to have.',
  ERR_HASH: 'The relay showed other documents than those that were signed.',
  ERR_TENANT: 'The relay showed a statement of another customer.',
  ERR_FORK: 'The relay showed two different statements with one number.',
  ERR_RELAY: 'The relay does not answer usefully.',
  ERR_TIMEOUT: 'The relay did not answer in time.',
  REVOKED: 'Acme revoked this identity: it gets no certificate and may change nothing.',
}

/** Code of any error, for display. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && code !== '' ? code : 'ERR_INTERNAL'
}

/** What a code of a relay's answer means to the user. */
export function sentenceOf(code: string): string {
  return SENTENCES[code] ?? 'The relay’s answer was refused.'
}

/** What an error means to the user. */
export function explain(error: unknown): string {
  return SENTENCES[codeOf(error)] ?? (error instanceof Error ? error.message : String(error))
}
