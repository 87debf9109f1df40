/**
 * Key files: small secrets at rest, sealed by a passphrase with Argon2id (RFC 9106) and AES-256-GCM, or plainly unsealed where that was asked
 * for by name. Argon2id also yields a commitment, so that a file opens under one passphrase only.
 */
import {
  argon2Sync,
  createCipheriv,
  createDecipheriv,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { readFileSync } from 'node:fs'
import { concat, utf8, type Bytes } from '../shared/bytes.ts'
import { ERROR_CODES } from '../shared/error-codes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { decodeJson, encodeJson } from '../shared/json.ts'
import { readReference } from './key-reference.ts'
import { writeNewFile } from './new-file.ts'
import { requireOwn } from './permissions.ts'
import { bytes, bytesOrEmpty, int, object, oneOf, text, type Infer } from '../shared/schema.ts'

/** Argon2id costs: KiB of memory, passes, lanes. RFC 9106 §4, second recommended option. */
const MEMORY = 65_536
const PASSES = 3
const LANES = 4
/** The most that a file may ask for. It says so before anything of it is known to be authentic: four gigabytes and a thousand passes would be an attack. */
const MOST_MEMORY = 4 * MEMORY
const MOST_PASSES = 4 * PASSES

const fileSchema = object({
  commitment: bytesOrEmpty(32),
  format: oneOf('keyferry-sealed-1', 'keyferry-unsealed-1'),
  memory: int(0, 4_194_304),
  nonce: bytesOrEmpty(12),
  passes: int(0, 1_000),
  purpose: text(64),
  salt: bytesOrEmpty(16),
  secret: bytes(1, 65_536),
})
type KeyFile = Infer<typeof fileSchema>

/** What Argon2id is told: KiB of memory, passes, and 16 bytes of salt. */
export type StretchCosts = Pick<KeyFile, 'salt' | 'memory' | 'passes'>

/** Costs for a new salt. */
export function newCosts(): StretchCosts {
  return { salt: new Uint8Array(randomBytes(16)), memory: MEMORY, passes: PASSES }
}

/** 64 bytes of a passphrase. Throws `ERR_TOO_LARGE` for costs above what any file of ours has, `RangeError` for those that Argon2id does not take. */
export function stretch(passphrase: string, { salt, memory, passes }: StretchCosts): Buffer {
  if (memory > MOST_MEMORY || passes > MOST_PASSES)
    throw new KeyferryError(
      'ERR_TOO_LARGE',
      `it asks for ${Math.ceil(memory / 1024)} MiB and ${passes} passes of Argon2id`,
      {
        hint: `nothing that this version makes asks for more than ${MOST_MEMORY / 1024} MiB and ${MOST_PASSES} passes: was it changed?`,
      },
    )
  return argon2Sync('argon2id', {
    message: utf8(passphrase.normalize('NFKC')),
    nonce: salt,
    memory,
    passes,
    parallelism: LANES,
    tagLength: 64,
  })
}

/** Contents of a key file. */
export function sealKeyFile(secret: Bytes, purpose: string, passphrase: string | null): KeyFile {
  const none = new Uint8Array()
  if (passphrase === null) {
    return {
      commitment: none,
      format: 'keyferry-unsealed-1',
      memory: 0,
      nonce: none,
      passes: 0,
      purpose,
      salt: none,
      secret,
    }
  }
  const costs = newCosts()
  const nonce = new Uint8Array(randomBytes(12))
  const key = stretch(passphrase, costs)
  const cipher = createCipheriv('aes-256-gcm', key.subarray(0, 32), nonce).setAAD(utf8(purpose))
  const sealed = concat(cipher.update(secret), cipher.final(), cipher.getAuthTag())
  const commitment = new Uint8Array(key.subarray(32))
  return {
    ...costs,
    commitment,
    format: 'keyferry-sealed-1',
    nonce,
    purpose,
    secret: sealed,
  }
}

/** Writes a key file that must not exist yet, mode 0600. `passphrase` null leaves it unsealed. Throws `ERR_EXISTS`, `ERR_IO`. */
export function writeKeyFile(
  path: string,
  secret: Bytes,
  purpose: string,
  passphrase: string | null,
): void {
  writeNewFile(path, encodeJson(sealKeyFile(secret, purpose, passphrase)))
}

function readFile(path: string): KeyFile {
  try {
    return decode(path, new Uint8Array(readFileSync(path)))
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError('ERR_IO', `${path} is not a key file`, { cause })
  }
}

function decode(path: string, data: Bytes): KeyFile {
  try {
    return fileSchema(decodeJson(data, 131_072), '')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} is not a key file`, { cause })
  }
}

/** Whether a key file needs a passphrase; one that refers to an HSM does not. Throws `ERR_IO`. */
export function isSealed(path: string): boolean {
  return readReference(path) === null && readFile(path).format === 'keyferry-sealed-1'
}

/** A key file opened, for a backup. */
export interface OpenedKeyFile {
  purpose: string
  secret: Bytes
  sealed: boolean
}

/** Opens a key file of any purpose. Throws `ERR_PERMISSIONS`, `ERR_IO`, `ERR_PASSPHRASE`. */
export function openKeyFile(path: string, passphrase: string | null): OpenedKeyFile {
  requireOwn(path)
  return openKeyBytes(path, new Uint8Array(readFileSync(path)), passphrase)
}

/** Opens the contents of a key file. Throws `ERR_IO`, `ERR_PASSPHRASE`. */
export function openKeyBytes(path: string, data: Bytes, passphrase: string | null): OpenedKeyFile {
  const file = decode(path, data)
  const { purpose, format } = file
  return { purpose, secret: open(path, file, passphrase), sealed: format === 'keyferry-sealed-1' }
}

/** Reads the secret of a key file. Throws `ERR_PERMISSIONS` for one that others can read, `ERR_IO`, `ERR_PASSPHRASE`. */
export function readKeyFile(path: string, purpose: string, passphrase: string | null): Bytes {
  requireOwn(path)
  const file = readFile(path)
  if (file.purpose !== purpose)
    throw new KeyferryError('ERR_IO', `${path} holds ${file.purpose}, not ${purpose}`)
  return open(path, file, passphrase)
}

function open(path: string, file: KeyFile, passphrase: string | null): Bytes {
  const { purpose } = file
  if (file.format === 'keyferry-unsealed-1') return file.secret
  if (passphrase === null)
    throw new KeyferryError('ERR_PASSPHRASE', `${path} is sealed: a passphrase is needed`)
  let key: Buffer
  try {
    key = stretch(passphrase, file)
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${path} has impossible parameters`, { cause })
  }
  if (file.commitment.length !== 32 || !timingSafeEqual(key.subarray(32), file.commitment))
    throw new KeyferryError('ERR_PASSPHRASE', ERROR_CODES.ERR_PASSPHRASE, {
      hint: 'is it the one of this directory? where it is lost, keyferry restore seals the keys of a backup by another one',
    })
  try {
    const opener = createDecipheriv('aes-256-gcm', key.subarray(0, 32), file.nonce)
    opener.setAAD(utf8(purpose)).setAuthTag(file.secret.subarray(-16))
    return concat(opener.update(file.secret.subarray(0, -16)), opener.final())
  } catch (cause) {
    throw new KeyferryError('ERR_PASSPHRASE', `${path} was changed`, { cause })
  }
}
