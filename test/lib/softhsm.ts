/** A SoftHSM2 of one test file: a token of its own in a temporary directory. Where the parts are not there, why not. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where distributions put the module. */
const PLACES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
]
export const softHsmModule = PLACES.find((path) => existsSync(path))

function whyNot(): string | null {
  if (softHsmModule === undefined) return 'SoftHSM2 is not installed'
  try {
    createRequire(import.meta.url)('pkcs11js')
    return null
  } catch {
    return 'the package pkcs11js is not installed'
  }
}

/** Why no HSM can be tested; `null` where it can. */
export const hsmAbsent = whyNot()
if (hsmAbsent !== null)
  console.warn(`HSMs are not tested: ${hsmAbsent}; npm run hsm installs what is missing`)

/** A token and how to treat it. */
export interface SoftHsm {
  directory: string
  pinFile: string
  /** A place in the token. */
  place(object: string, pinFile?: string): string
  setPin(pin: string): void
  /** Takes the token away and puts it back. */
  unplug(): void
  plug(): void
  remove(): void
}

export const TOKEN = 'keyferry-test'
export const PIN = 'r3d-h3rring'

/** Makes a token. SOFTHSM2_CONF of this process and its children names it from then on. */
export function makeSoftHsm(): SoftHsm {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-hsm-'))
  const tokens = join(directory, 'tokens')
  mkdirSync(tokens)
  const config = join(directory, 'softhsm2.conf')
  writeFileSync(
    config,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  process.env['SOFTHSM2_CONF'] = config
  const args = ['--init-token', '--free', '--label', TOKEN, '--so-pin', '12345678', '--pin', PIN]
  execFileSync('softhsm2-util', args, { stdio: 'pipe' })
  const pinFile = join(directory, 'pin')
  const setPin = (pin: string): void => writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 })
  setPin(PIN)
  return {
    directory,
    pinFile,
    place: (object, from = pinFile) =>
      `pkcs11:token=${TOKEN};object=${object}?module-path=${softHsmModule}&pin-source=file:${from}`,
    setPin,
    unplug: () => renameSync(tokens, `${tokens}.away`),
    plug: () => renameSync(`${tokens}.away`, tokens),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}
