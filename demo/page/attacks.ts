/** What an insider can do, in words. The ids are those of demo/insider.ts. */
import { type ErrorCode } from '../../shared/errors.ts'

/** One attack as the panel tells of it. */
export interface AttackText {
  id: string
  label: string
  /** What the relay does. */
  did: string
  /** How clients answer, and why. */
  code: ErrorCode
  why: string
}

const LATE =
  'The last head it was shown is past its end: this browser encrypts nothing more until it sees a fresh one.'

export const ATTACKS: readonly AttackText[] = [
  {
    id: 'deriver',
    label: 'Swap the deriver’s key',
    did: 'It signed the head again, with a certificate of a CA of its own that bears the name of Acme’s.',
    code: 'ERR_PATH_INVALID',
    why: 'The certificate leads to no CA in Acme’s trust document, whatever name it bears.',
  },
  {
    id: 'old',
    label: 'Serve an old head',
    did: 'It showed a head from before, honestly signed by Acme, in place of the newest.',
    code: 'ERR_ROLLBACK',
    why: 'This browser remembers the highest head it accepted and never goes back below.',
  },
  {
    id: 'label',
    label: 'Re-label a key',
    did: 'It handed out the documents of one keyring under the id of the other.',
    code: 'ERR_HASH',
    why: 'The signed head names other documents for this keyring.',
  },
  {
    id: 'member',
    label: 'Add a recipient',
    did: 'It put a device of its own among the members of every keyring.',
    code: 'ERR_HASH',
    why: 'With one more member, the list is not the one that the signed head stands for.',
  },
  {
    id: 'signature',
    label: 'Strip a signature',
    did: 'It took the deriver’s signature off the head.',
    code: 'ERR_SCHEMA',
    why: 'A head without a signature is no head: nothing in it is even looked at.',
  },
  {
    id: 'revocation',
    label: 'Hide a revocation',
    did: 'Acme revoked a lost laptop; the relay keeps back the head that says so, and every one after it.',
    code: 'ERR_STALE',
    why: LATE,
  },
  {
    id: 'split',
    label: 'Split two views',
    did: 'It keeps one browser at an older head and shows all others the newest; both are Acme’s, since it can sign none.',
    code: 'ERR_STALE',
    why: LATE,
  },
  {
    id: 'tenant',
    label: 'Hand out the wrong tenant',
    did: 'It answered with the trust document and the head of another customer, Globex.',
    code: 'ERR_TENANT',
    why: 'Acme’s app pins its tenant id: documents of any other count for nothing.',
  },
]

/** Nothing to be seen until the end of the last head. */
export function isSilent(id: string, isBehind: boolean): boolean {
  return id === 'revocation' || (id === 'split' && isBehind)
}
