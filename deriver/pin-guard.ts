/**
 * A PIN that was refused is never tried again, also not by the process that systemd starts next: that is how tokens get locked. What is kept of it is an
 * Argon2id tag with a salt of its own.
 */
import { argon2Sync, createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KeyferryError } from '../shared/errors.ts'

function tagOf(pin: string, salt: Buffer): Buffer {
  const costs = { memory: 65_536, passes: 3, parallelism: 4, tagLength: 32 }
  return argon2Sync('argon2id', { message: Buffer.from(pin), nonce: salt, ...costs })
}

/** Where the refused PIN of a token is noted. */
export function notePath(directory: string, token: string): string {
  const name = createHash('sha256').update(token).digest('hex').slice(0, 16)
  return join(directory, 'keys', `pin-refused-${name}`)
}

/** Throws `ERR_PIN` for the PIN that was refused last. */
export function requireUntried(path: string, pin: string): void {
  let note: Buffer
  try {
    note = readFileSync(path)
  } catch {
    return
  }
  if (note.length !== 48) return
  const tag = tagOf(pin, note.subarray(0, 16))
  if (timingSafeEqual(tag, note.subarray(16)))
    throw new KeyferryError('ERR_PIN', 'this PIN was refused before and is not tried again', {
      hint: `put the right PIN into the pin-source; to try this one again, remove ${path}`,
    })
}

/** Notes a PIN that was refused. */
export function noteRefused(path: string, pin: string): void {
  const salt = randomBytes(16)
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  writeFileSync(path, Buffer.concat([salt, tagOf(pin, salt)]), { mode: 0o600 })
}

/** A PIN was right: what was noted is of the past. */
export function forgetRefused(path: string): void {
  rmSync(path, { force: true })
}
