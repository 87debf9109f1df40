/** Secrets that the machine hands to the process: files of systemd's LoadCredential=, environment variables, PIN files. */
import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type PinSource } from './place.ts'

/** Bytes of the largest PIN, token or master secret as text. */
const MOST = 16_384

/** A small file as text, without the line end. Throws `ERR_IO`, `ERR_TOO_LARGE`. */
export function readSmallFile(path: string, hint: string): string {
  try {
    const stat = statSync(path)
    if (!stat.isFile() || stat.size > MOST)
      throw new KeyferryError('ERR_TOO_LARGE', `${path} is no file of at most ${MOST} bytes`)
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause, hint })
  }
}

/** A credential of the unit: a file in `$CREDENTIALS_DIRECTORY`. Throws `ERR_IO`, `ERR_TOO_LARGE`. */
export function readCredential(name: string, environment = process.env): string {
  const directory = environment['CREDENTIALS_DIRECTORY']
  if (directory === undefined || !isAbsolute(directory))
    throw new KeyferryError('ERR_IO', `no credential ${name}: $CREDENTIALS_DIRECTORY is not set`, {
      hint: `add LoadCredential=${name}:/PATH to the systemd unit, or run under systemd-run -p`,
    })
  return readSmallFile(join(directory, name), `add LoadCredential=${name}:/PATH to the unit`)
}

/** A master secret out of the environment. Throws `ERR_IO`. */
export function readVariable(name: string, environment = process.env): string {
  const value = environment[name]
  if (value === undefined || value === '')
    throw new KeyferryError('ERR_IO', `$${name} is not set`, {
      hint: `set ${name} to 64 hexadecimal digits, such as openssl rand -hex 32 prints`,
    })
  return value
}

/** 32 bytes as hex or base64. Throws `ERR_ROOT_KEY`, never with what was there. */
export function decodeMaster(text: string, what: string): Bytes {
  const isHex = /^[0-9a-f]{64}$/i.test(text)
  const isBase64 = /^[\w+/-]{43}=?$/.test(text)
  if (!isHex && !isBase64)
    throw new KeyferryError('ERR_ROOT_KEY', `${what} does not hold 32 bytes in hex or base64`, {
      hint: 'openssl rand -hex 32 makes a master secret',
    })
  return new Uint8Array(Buffer.from(text, isHex ? 'hex' : 'base64'))
}

/** A PIN. Throws `ERR_IO`, `ERR_PIN` for an empty one. */
export function readPin(source: PinSource): string {
  const pin =
    'file' in source
      ? readSmallFile(source.file, 'the pin-source of the place names this file')
      : readCredential(source.credential)
  if (pin === '') throw new KeyferryError('ERR_PIN', 'the PIN is empty')
  return pin
}
