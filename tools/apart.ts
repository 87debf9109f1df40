/** Packages that one command needs and the project does not: each such folder of tools/ has a lock of its own, and `npm ci` of the project stays as it is. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Installs what a folder's lock says, unless it is there, without running scripts of packages. False where that fails. */
export function installApart(folder: string): boolean {
  const lock = readFileSync(join(folder, 'package-lock.json'))
  const mark = join(folder, 'node_modules/.installed-lock.json')
  if (existsSync(mark) && readFileSync(mark).equals(lock)) return true
  const isWindows = process.platform === 'win32'
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const npm = isWindows ? 'npm.cmd' : 'npm'
  const { status } = spawnSync(npm, args, {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    shell: isWindows,
  })
  if (status === 0) writeFileSync(mark, lock)
  return status === 0
}
