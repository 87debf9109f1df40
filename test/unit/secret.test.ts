/** Key files: sealed by a passphrase, or unsealed only where that was asked for. */
import { createSecretKey } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { aeskw } from '@noble/ciphers/aes.js'
import { wrapKey, wrapKeys } from '../../deriver/key-wrap.ts'
import { random } from '../../deriver/random.ts'
import { createRoot } from '../../deriver/root.ts'
import { isSealed, readKeyFile, writeKeyFile } from '../../deriver/secret.ts'
import { VersionInputs } from '../../deriver/version-inputs.ts'
import { fromHex, hex } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { commitInput, versionInput } from '../../shared/kdf.ts'
import { versionContext } from '../../shared/manifest.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const secret = new Uint8Array(32).fill(0x5a)

function codeOf(work: () => unknown): string {
  try {
    work()
    return 'none'
  } catch (error) {
    return isKeyferryError(error) ? error.code : String(error)
  }
}

it('a sealed file opens under its passphrase only, and holds nothing readable', () => {
  const path = join(directory, 'master.json')
  writeKeyFile(path, secret, 'master', 'correct horse')
  expect(isSealed(path)).toBe(true)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8')).not.toContain(Buffer.from(secret).toString('base64url'))
  expect(hex(readKeyFile(path, 'master', 'correct horse'))).toBe(hex(secret))
  expect(codeOf(() => readKeyFile(path, 'master', 'wrong'))).toBe('ERR_PASSPHRASE')
  expect(codeOf(() => readKeyFile(path, 'master', null))).toBe('ERR_PASSPHRASE')
})

it('a passphrase is the same in either Unicode form', () => {
  const path = join(directory, 'master.json')
  writeKeyFile(path, secret, 'master', 'caf\u00e9')
  expect(hex(readKeyFile(path, 'master', 'cafe\u0301'))).toBe(hex(secret))
})

it('a file never replaces another, and is not taken for one of another purpose', () => {
  const path = join(directory, 'master.json')
  writeKeyFile(path, secret, 'master', null)
  expect(isSealed(path)).toBe(false)
  expect(codeOf(() => writeKeyFile(path, secret, 'master', null))).toBe('ERR_EXISTS')
  expect(codeOf(() => readKeyFile(path, 'authority', null))).toBe('ERR_IO')
  expect(codeOf(() => readKeyFile(join(directory, 'none'), 'master', null))).toBe('ERR_IO')
})

it('a changed file is refused: each byte of the sealed secret, and the purpose it is bound to', () => {
  const path = join(directory, 'master.json')
  writeKeyFile(path, secret, 'master', 'x')
  const file = JSON.parse(readFileSync(path, 'utf8')) as { secret: string }
  const sealed = Buffer.from(file.secret, 'base64url')
  for (const i of [0, sealed.length - 1]) {
    const changed = Buffer.from(sealed)
    changed[i]! ^= 1
    writeFileSync(path, JSON.stringify({ ...file, secret: changed.toString('base64url') }))
    expect(codeOf(() => readKeyFile(path, 'master', 'x'))).toBe('ERR_PASSPHRASE')
  }
  writeFileSync(path, JSON.stringify({ ...file, purpose: 'other' }))
  expect(codeOf(() => readKeyFile(path, 'other', 'x'))).toBe('ERR_PASSPHRASE')
})

it('AES key wrap agrees with RFC 3394 §4.6', () => {
  const kek = fromHex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f')
  const data = fromHex('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f')
  const wrapped = '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21'
  expect(hex(wrapKey(kek, data))).toBe(wrapped)
  expect(hex(aeskw(kek).encrypt(data))).toBe(wrapped)
})

it('many secrets are wrapped as one is, by OpenSSL', () => {
  const kek = createSecretKey(random(32))
  for (const count of [0, 1, 7, 8, 9, 255, 1_000]) {
    const secrets = Array.from({ length: count }, () => random(32))
    const before = secrets.map(hex)
    expect(wrapKeys(kek, secrets).map(hex)).toEqual(secrets.map((one) => hex(wrapKey(kek, one))))
    expect(secrets.map(hex)).toEqual(before)
  }
  for (const length of [0, 31, 33, 40])
    for (const count of [1, 20])
      expect(() =>
        wrapKeys(kek, [...Array.from({ length: count }, () => random(32)), random(length)]),
      ).toThrow(RangeError)
})

it('inputs that are made in one place are those of the protocol, one version after the other', () => {
  const names = { tenant: random(32), keyring: random(16) }
  const inputs = new VersionInputs(names)
  const numbers = [1, 2, 255, 256, 65_535, 2 ** 24, 2 ** 31, 2 ** 32 - 1]
  for (const [i, version] of numbers.entries()) {
    const row = {
      incarnation: numbers.at(-1 - i)!,
      version,
      algorithm: i % 2 === 0 ? 1 : 2 ** 32 - 2,
      nonce: random(16),
      salt: random(i % 3 === 0 ? 0 : 32),
    }
    const context = versionContext(names, row)
    expect(hex(inputs.version(row))).toBe(hex(versionInput(context, row.nonce, row.salt)))
    expect(hex(inputs.commit(row))).toBe(hex(commitInput(context)))
  }
  const row = { incarnation: 1, version: 1, algorithm: 1, nonce: random(16), salt: random(32) }
  const held = inputs.version(row)
  inputs.wipe()
  expect(held.every((byte) => byte === 0)).toBe(true)
})

it('the root is HMAC-SHA-256 (RFC 4231, test case 6 has another key length, so a computed one)', () => {
  const root = createRoot(new Uint8Array(32).fill(0x0b))
  expect(hex(root.mac(new TextEncoder().encode('Hi There')))).toBe(
    '198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7',
  )
  expect(() => createRoot(new Uint8Array(31))).toThrow(RangeError)
})
