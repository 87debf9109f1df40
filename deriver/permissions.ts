/** Files with secrets are their owner's alone: one that others can read is refused before it is read. */
import { statSync } from 'node:fs'
import { KeyferryError } from '../shared/errors.ts'

/** Whether others than a file's owner can read or change it. False where there is none, and on Windows, which has other rights. */
export function isOpenToOthers(path: string): boolean {
  if (process.platform === 'win32') return false
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && (stat.mode & 0o077) !== 0
}

/** Throws `ERR_PERMISSIONS` where others than its owner can read or change a file. */
export function requireOwn(path: string): void {
  if (!isOpenToOthers(path)) return
  const mode = (statSync(path).mode & 0o777).toString(8)
  throw new KeyferryError(
    'ERR_PERMISSIONS',
    `${path} can be read or changed by others (mode ${mode})`,
    {
      hint: `chmod 600 ${path}`,
    },
  )
}
