/** WebCrypto as it was: what an older browser lacks is taken away, in a page or in Node. Each function stands alone, so that a page can be given its text. */

/** Takes ML-KEM out of WebCrypto. What it returns puts it back. */
export function hideMlKem(): () => void {
  const { SubtleCrypto } = globalThis as { SubtleCrypto?: { prototype: object } }
  if (SubtleCrypto === undefined) return () => {}
  const { prototype } = SubtleCrypto
  const before = Object.getOwnPropertyDescriptors(prototype) as Record<string, PropertyDescriptor>
  for (const name of Object.keys(before)) {
    // An older WebCrypto has no such methods, and takes their names for usages that there are not.
    if (/^(en|de)capsulate/.test(name)) Reflect.deleteProperty(prototype, name)
  }
  for (const name of ['generateKey', 'importKey', 'unwrapKey', 'deriveKey']) {
    const own = before[name]!.value as (...all: unknown[]) => unknown
    const value = function (this: unknown, ...all: unknown[]): unknown {
      const isNew = all.some((one) => Array.isArray(one) && one.some((u) => /capsulate/.test(u)))
      return isNew
        ? Promise.reject(new TypeError('not a valid enum value of type KeyUsage'))
        : own.apply(this, all)
    }
    Object.defineProperty(prototype, name, { ...before[name], value })
  }
  return () => void Object.defineProperties(prototype, before)
}

/** Takes X25519 out of WebCrypto. What it returns puts it back. */
export function hideX25519(): () => void {
  const { SubtleCrypto } = globalThis as { SubtleCrypto?: { prototype: object } }
  if (SubtleCrypto === undefined) return () => {}
  const { prototype } = SubtleCrypto
  const before = Object.getOwnPropertyDescriptor(prototype, 'generateKey')!
  const own = before.value as (...all: unknown[]) => unknown
  const value = function (this: unknown, ...all: unknown[]): unknown {
    return all[0] === 'X25519' || (all[0] as { name?: string }).name === 'X25519'
      ? Promise.reject(new DOMException('Unrecognized name.', 'NotSupportedError'))
      : own.apply(this, all)
  }
  Object.defineProperty(prototype, 'generateKey', { ...before, value })
  return () => void Object.defineProperty(prototype, 'generateKey', before)
}
