/** A search for secrets in all that a script can reach of a value: bytes, texts, properties of it and of its prototypes. */
import { base64url, equal, hex, type Bytes } from '../../shared/bytes.ts'

/** What was reached. */
export interface Reached {
  keys: CryptoKey[]
  bytes: Uint8Array[]
  texts: string[]
}

function properties(value: object): unknown[] {
  const out: unknown[] = []
  for (
    let at: object | null = value;
    at !== null;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const name of Reflect.ownKeys(at)) {
      try {
        // Getters of a prototype are asked on the value.
        out.push(name, Reflect.get(at, name, value))
      } catch {
        // A getter that this value does not have.
      }
    }
  }
  return out
}

function children(value: object): unknown[] {
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].flat()
  if (value instanceof Set) return [...(value as Set<unknown>)]
  return properties(value)
}

/** All that can be reached from these values. Functions of the platform lead everywhere: what they hold is not looked at. */
export function reach(...values: unknown[]): Reached {
  const found: Reached = { keys: [], bytes: [], texts: [] }
  const seen = new Set<unknown>()
  const queue = [...values]
  for (let value = queue.pop(); queue.length > 0 || value !== undefined; value = queue.pop()) {
    if (typeof value === 'string') found.texts.push(value)
    if (typeof value !== 'object' || value === null || seen.has(value)) continue
    seen.add(value)
    if (value === globalThis) continue
    if (value instanceof CryptoKey) found.keys.push(value)
    if (value instanceof ArrayBuffer) found.bytes.push(new Uint8Array(value))
    else if (ArrayBuffer.isView(value)) {
      // The whole of what it is a view of.
      found.bytes.push(new Uint8Array(value.buffer as ArrayBuffer))
    } else queue.push(...children(value))
  }
  return found
}

function contains(where: Uint8Array, what: Bytes): boolean {
  for (let at = where.indexOf(what[0]!); at >= 0; at = where.indexOf(what[0]!, at + 1))
    if (equal(where.slice(at, at + what.length), what)) return true
  return false
}

/** The secrets that stand in what was reached, as bytes or in a text: hexadecimal, base64, or numbers. */
export function secretsIn({ bytes, texts }: Reached, secrets: readonly Bytes[]): Bytes[] {
  const all = texts.join('\n')
  return secrets.filter((secret) => {
    const url = base64url(secret)
    const base64 = url.replaceAll('-', '+').replaceAll('_', '/')
    const spellings = [hex(secret), url, base64, secret.join(',')]
    return bytes.some((one) => contains(one, secret)) || spellings.some((one) => all.includes(one))
  })
}

const FORMATS = [
  'raw',
  'raw-public',
  'raw-secret',
  'raw-seed',
  'raw-private',
  'pkcs8',
  'spki',
  'jwk',
]

/** How many ways there are to get the bytes of a key that is not public: by exporting and by wrapping. */
export async function waysOut(keys: readonly CryptoKey[]): Promise<string[]> {
  const gcm = { name: 'AES-GCM', iv: new Uint8Array(12) }
  const aes = (name: string) =>
    crypto.subtle.generateKey({ name, length: 256 }, true, ['wrapKey', 'unwrapKey'])
  const wrapping = [
    [await aes('AES-GCM'), gcm],
    [await aes('AES-KW'), 'AES-KW'],
  ] as [CryptoKey, AlgorithmIdentifier][]
  const out: string[] = []
  for (const key of keys.filter(({ type }) => type !== 'public')) {
    for (const format of FORMATS as 'raw'[]) {
      const attempts: [string, () => Promise<unknown>][] = [
        ['exportKey', () => crypto.subtle.exportKey(format, key)],
        ...wrapping.map(([with_, algorithm]): [string, () => Promise<unknown>] => [
          'wrapKey',
          () => crypto.subtle.wrapKey(format, key, with_, algorithm),
        ]),
      ]
      for (const [name, attempt] of attempts) {
        try {
          await attempt()
          out.push(`${name} ${format} ${key.algorithm.name}`)
        } catch {
          // As it should.
        }
      }
    }
  }
  return out
}
