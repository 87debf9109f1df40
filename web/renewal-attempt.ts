/** One attempt to renew a client's certificate, and when the next one is due. Loaded with the first. */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type Attempts, type RenewalOptions } from './renewal.ts'

/** Seconds between attempts: longer each time, while the certificate lives; often, when it does not. */
const FIRST_GAP = 60
const LONGEST_GAP = 3_600
const EXPIRED_GAP = 5

/** Asks for a new certificate. */
export async function attempt(
  { session, now, renew }: RenewalOptions,
  { failures }: Attempts,
): Promise<Attempts> {
  let failure: KeyferryError | undefined
  try {
    await session.renewed(await renew(session.identity))
  } catch (cause) {
    failure = isKeyferryError(cause)
      ? cause
      : new KeyferryError('ERR_ENROLMENT', 'the certificate was not renewed', { cause })
  }
  if (failure === undefined) return { failures: 0, notBefore: 0 }
  const gap = Math.min(FIRST_GAP * 2 ** failures, LONGEST_GAP)
  const isOver = now() > parseCertificate(session.identity.certificates[0]!).notAfter
  const pause = isOver ? EXPIRED_GAP : gap * (0.75 + Math.random() / 4)
  return { failures: failures + 1, notBefore: now() + pause, failure }
}
