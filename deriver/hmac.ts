/**
 * HMAC-SHA-256 (RFC 2104) under keys of 32 bytes, by OpenSSL's SHA-256. Node's own takes twice as long: it makes an object of each key and another of each use,
 * which engines then have to collect.
 */
import { hash } from 'node:crypto'
import { fromLatin1, type Bytes } from '../shared/bytes.ts'

/** Bytes of a key, of a block of SHA-256, and of inputs for which there is room without new memory. */
const [KEY, BLOCK, ROOM] = [32, 64, 1_024]

const inner = new Uint8Array(BLOCK + ROOM).fill(0x36)
const outer = new Uint8Array(BLOCK + 32).fill(0x5c)
/** The same memory: what writes texts into it. A Buffer's own `fill` takes longer than the hash. */
const outerText = Buffer.from(outer.buffer)

/** Makes the hash of key and input, behind the outer key: what is hashed once more. The caller wipes the key. Inputs are wiped, too: salts are secret. */
function fillOuter(key: Bytes, input: Bytes): void {
  if (key.length !== KEY) throw new RangeError('a key of HMAC has 32 bytes here')
  const own = input.length > ROOM ? new Uint8Array(BLOCK + input.length).fill(0x36) : inner
  for (let i = 0; i < KEY; i++) {
    own[i] = key[i]! ^ 0x36
    outer[i] = key[i]! ^ 0x5c
  }
  own.set(input, BLOCK)
  // As a text, which costs no memory outside of the engine; without the outer key it says nothing.
  outerText.write(hash('sha256', own.subarray(0, BLOCK + input.length), 'binary'), BLOCK, 'latin1')
  own.fill(0, 0, KEY)
  own.fill(0, BLOCK, BLOCK + input.length)
}

/** A secret of 32 bytes, which can be wiped. Throws `RangeError` for another length of the key. */
export function hmac(key: Bytes, input: Bytes): Bytes {
  fillOuter(key, input)
  const { buffer, byteOffset } = hash('sha256', outer, 'buffer')
  outer.fill(0, 0, KEY)
  // A Buffer's `slice` and `toString` are others; its bytes stay where they are.
  return new Uint8Array(buffer, byteOffset, 32)
}

/** The same, for an id that everybody may know: 32 bytes, made in half the time. */
export function publicHmac(key: Bytes, input: Bytes): Bytes {
  fillOuter(key, input)
  const mac = hash('sha256', outer, 'binary')
  outer.fill(0, 0, KEY)
  return fromLatin1(mac)
}
