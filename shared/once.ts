/**
 * What is made of an object is made once, and lives as long as the object does: of bytes that nobody changes, such as those of a parsed certificate. What is
 * promised and fails is made again.
 */
export function once<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>()
  return (key) => {
    const found = known.get(key) ?? make(key)
    known.set(key, found)
    Promise.resolve(found).catch(() => known.delete(key))
    return found
  }
}
