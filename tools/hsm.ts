/**
 * Installs what the tests of HSMs need, where that is possible: SoftHSM2 by apt-get, for root, and the package pkcs11js beside the others. It is no
 * dependency: who has no HSM needs no compiler. Exit status 0 if both are there afterwards, or with --try: the tests of HSMs then say that they are skipped.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = new URL('../', import.meta.url).pathname
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  peerDependencies: Record<string, string>
}
const target = join(root, 'node_modules/pkcs11js')

/** Milliseconds for one step: without a network the rest of the tests should not wait longer. */
const LIMIT = 120_000

function attempt(what: string, work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    console.error(`${what}: ${(error as Error).message.split('\n')[0]}`)
    return false
  }
}

function isThere(): boolean {
  return existsSync('/usr/bin/softhsm2-util') || existsSync('/usr/local/bin/softhsm2-util')
}

if (!isThere()) {
  attempt('SoftHSM2', () => {
    if (process.getuid?.() !== 0) throw new Error('not root: apt-get install softhsm2 opensc')
    execFileSync('apt-get', ['update'], { stdio: 'ignore', timeout: LIMIT })
    execFileSync('apt-get', ['install', '-y', 'softhsm2', 'opensc'], {
      stdio: 'ignore',
      timeout: LIMIT,
    })
  })
}
if (!existsSync(join(target, 'build/Release/pkcs11.node'))) {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-pkcs11-'))
  attempt('pkcs11js', () => {
    const name = `pkcs11js@${manifest.peerDependencies['pkcs11js']}`
    execFileSync('npm', ['install', '--prefix', directory, '--no-audit', '--no-fund', name], {
      stdio: 'ignore',
      timeout: LIMIT,
    })
    cpSync(join(directory, 'node_modules/pkcs11js'), target, { recursive: true })
  })
  rmSync(directory, { recursive: true, force: true })
}
const hasPackage = existsSync(join(target, 'build/Release/pkcs11.node'))
console.log(
  `SoftHSM2: ${isThere() ? 'there' : 'absent'}; pkcs11js: ${hasPackage ? 'there' : 'absent'}`,
)
process.exitCode = (isThere() && hasPackage) || process.argv.includes('--try') ? 0 : 1
