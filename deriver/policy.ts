/** Who may have a keyring: a pure decision with its reason (docs/PROTOCOL.md [request-4]). */
import { matchesSanRule } from '../shared/path.ts'

/** What is known of the asker and the keyring. */
export interface Question {
  /** URI of the client's certificate. */
  uri: string
  /** The certificate key was denied by an administrator or revoked. */
  denied: boolean
  /** SAN rules of the keyring's manifest; `null` if there is no such keyring. */
  rules: readonly string[] | null
}

/** Granted, or not and why. The reason is for the log and, in these words only, for the client. */
export type Decision = { granted: true; rule: string } | { granted: false; reason: string }

/** Decides by SAN rule. Unknown keyrings and keyrings without a rule for the client are refused in the same words. */
export function decide({ uri, denied, rules }: Question): Decision {
  if (denied) return { granted: false, reason: 'this device was revoked' }
  // PROTOCOL [request-4]
  const rule = rules?.find((one) => matchesSanRule(uri, one))
  return rule === undefined
    ? { granted: false, reason: 'no rule covers this client' }
    : { granted: true, rule }
}
