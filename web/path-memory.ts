/**
 * The path that was validated last, for as long as nothing that it hangs on can have changed: a client is shown the same signer with every head. What is not the
 * same is validated as ever.
 */
import { equal, type Bytes } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { type Crl } from '../shared/crl.ts'
import { validatePath, type VerifiedPath } from '../shared/path.ts'

const isSame = <T>(
  one: readonly T[],
  other: readonly T[],
  matches: (a: T, b: T) => boolean,
): boolean => one.length === other.length && one.every((item, i) => matches(item, other[i]!))

/** What was validated, and the time from which and until which nothing about it changes. */
interface Remembered {
  path: VerifiedPath
  certificates: readonly Bytes[]
  objects: readonly unknown[]
  from: number
  until: number
}

/** {@link validatePath} with that memory. Anchors, uses and lists are the same only as objects. */
export function rememberPath(): NonNullable<CaVerifier['path']> {
  let last: Remembered | undefined
  return async (asked) => {
    const { anchors, crls, eku, now } = asked
    // Copies, made before anything is looked at: what is remembered must be what was validated.
    const certificates = asked.certificates.map((one) => one.slice())
    const lists = Array.from<unknown>(crls)
    const objects = [anchors, eku, ...lists]
    if (
      last !== undefined &&
      last.from <= now &&
      now < last.until &&
      isSame(last.objects, objects, Object.is) &&
      isSame(last.certificates, certificates, equal)
    )
      return last.path
    const path = await validatePath({ ...asked, certificates })
    // A list that begins or ends, even one that was not used, may change what is found. One that is not parsed, and what stands for none, has no times: `until` is NaN.
    const times = (lists as Crl[]).flatMap(({ thisUpdate, nextUpdate }) => [
      thisUpdate,
      nextUpdate + 1,
    ])
    const until = Math.min(path.notAfter + 1, ...times.filter((time) => !(time <= now)))
    if (now < until) last = { path, certificates, objects, from: now, until }
    return path
  }
}
