/** Who may have a keyring: a pure decision with its reason (docs/PROTOCOL.md [request-4]), and the form of the rules that it goes by. */
import { base64url, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { matchesSanRule } from '../shared/path.ts'

/** What is known of the asker and the keyring. */
export interface Question {
  /** URI of the client's certificate. */
  uri: string
  /** Key id of the anchor at the end of its path. */
  anchor: Bytes
  /** The certificate key was denied by an administrator or revoked. */
  denied: boolean
  /** Rules of the keyring's manifest; `null` if there is no such keyring. */
  rules: readonly string[] | null
  /** Rules that the deriver's own administrator allowed. */
  policy: readonly string[]
}

/** Granted, or not and why. The reason is for the log and, in these words only, for the client. */
export type Decision = { granted: true; rule: string } | { granted: false; reason: string }

/** Most rules that a keyring has. */
const MAX_RULES = 256
const RULE = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~:/%@!$&'()+,;=-]+\*?(#[A-Za-z0-9_-]{43})?$/

/** Rules without repetitions, in the order of manifests. Throws `ERR_USAGE` for one that is none. */
export function sortedRules(rules: readonly string[]): string[] {
  const isRule = (rule: string): boolean => {
    const [san] = rule.split('#')
    return RULE.test(rule) && (!san!.endsWith('*') || san!.endsWith('/*'))
  }
  const bad = rules.find((rule) => !isRule(rule))
  if (bad !== undefined) throw new KeyferryError('ERR_USAGE', `not a SAN rule: ${bad}`)
  const sorted = [...new Set(rules)].toSorted((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  )
  if (sorted.length > MAX_RULES)
    throw new KeyferryError('ERR_USAGE', `more than ${MAX_RULES} rules`)
  return sorted
}

/** Whether a keyring's rule covers a client. One that ends in `#` and the key id of an anchor covers nobody of another anchor. */
export function covers(rule: string, uri: string, anchor: Bytes): boolean {
  const [san, only] = rule.split('#')
  return matchesSanRule(uri, san!) && (only === undefined || only === base64url(anchor))
}

/**
 * Decides by rule: one of the manifest has to cover the client, and one that the administrator allowed. Unknown keyrings and keyrings without a rule for the
 * client are refused in the same words.
 */
export function decide({ uri, anchor, denied, rules, policy }: Question): Decision {
  if (denied) return { granted: false, reason: 'this device was revoked' }
  // PROTOCOL [request-4]
  const rule = rules?.find((one) => covers(one, uri, anchor))
  if (rule === undefined || !policy.some((one) => covers(one, uri, anchor)))
    return { granted: false, reason: 'no rule covers this client' }
  return { granted: true, rule }
}
