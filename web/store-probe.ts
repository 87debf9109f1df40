/** Whether a browser stores the keys of a client: some keep none in private windows, and some not yet those of young algorithms. Asked once, before there is a state. */
import { subtle } from '../shared/platform.ts'

/** What a client stores. */
const KINDS: [AlgorithmIdentifier | AesKeyGenParams | EcKeyGenParams, KeyUsage[]][] = [
  [{ name: 'AES-KW', length: 256 }, ['unwrapKey']],
  [{ name: 'ECDSA', namedCurve: 'P-256' }, ['sign']],
  ['Ed25519', ['sign']],
  ['X25519', ['deriveBits']],
  ['ML-KEM-768', ['decapsulateBits' as KeyUsage]],
]

/** False when `put` throws a `DataCloneError` for one key of each kind that this platform has. Throws what else it throws. */
export async function tryKeys(put: (samples: unknown[]) => Promise<unknown>): Promise<boolean> {
  const made = await Promise.allSettled(
    KINDS.map(async ([algorithm, usages]) => subtle().generateKey(algorithm, false, usages)),
  )
  const samples = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    await put(samples)
    return true
  } catch (error) {
    if (error instanceof DOMException && error.name === 'DataCloneError') return false
    throw error
  }
}
