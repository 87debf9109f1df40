// Files that are whole or not there: keys, cards and what a restore writes.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { writeNewFile } from '../../deriver/new-file.ts'
import { utf8 } from '../../shared/bytes.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const source = new URL('../../deriver/new-file.ts', import.meta.url).href
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

/** Writes a file of 1000 letters in a process of its own, after `before`, with files of at most so many blocks of 512 bytes. Returns the code of what it threw. */
function write(blocks: string, before = ''): Promise<string> {
  const script = `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    ${before}
    syncBuiltinESMExports()
    const { writeNewFile } = await import(${JSON.stringify(source)})
    try {
      writeNewFile(${JSON.stringify(join(directory, 'new'))}, new TextEncoder().encode('x'.repeat(1000)))
    } catch (error) {
      console.log(error.code ?? error)
    }`
  const limit = `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$@"`
  const args = ['-c', limit, process.execPath, '--input-type=module', '--eval', script]
  return new Promise((resolve) => {
    execFile('sh', args, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`.trim()))
  })
}

it('a file has its name when all of it is there, for its owner alone', async () => {
  expect(await write('unlimited')).toBe('')
  expect(readFileSync(join(directory, 'new'), 'utf8')).toBe('x'.repeat(1000))
  expect(statSync(join(directory, 'new')).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory)).toEqual(['new'])
})

it.each(['0', '1'])('a disk that is full after %s blocks leaves nothing', async (blocks) => {
  expect(await write(blocks)).toBe('ERR_IO')
  expect(readdirSync(directory)).toEqual([])
})

it('a kill before the end leaves no file of that name, and the next one writes it', async () => {
  await write('unlimited', "fs.fsyncSync = () => process.kill(process.pid, 'SIGKILL')")
  expect(readdirSync(directory)).toEqual([expect.stringMatching(/^new\.\d+\.part$/)])
  expect(await write('unlimited')).toBe('')
  expect(readFileSync(join(directory, 'new'), 'utf8')).toHaveLength(1000)
})

it('a file that is there stays as it is, also where there are no links', async () => {
  writeNewFile(join(directory, 'new'), utf8('first'))
  await expectCode(() => writeNewFile(join(directory, 'new'), utf8('second')), 'ERR_EXISTS')
  // As FAT says it.
  const noLinks = "fs.linkSync = () => { throw Object.assign(new Error(), { code: 'EPERM' }) }"
  expect(await write('unlimited', noLinks)).toBe('ERR_EXISTS')
  expect(readFileSync(join(directory, 'new'), 'utf8')).toBe('first')
  rmSync(join(directory, 'new'))
  expect(await write('unlimited', noLinks)).toBe('')
  expect(readdirSync(directory)).toEqual(['new'])
})

it('in a folder that is not there it is ERR_IO', async () => {
  await expectCode(() => writeNewFile(join(directory, 'no/new'), utf8('x')), 'ERR_IO')
  writeNewFile(join(directory, 'new'), utf8('x'))
  await expectCode(() => writeNewFile(join(directory, 'new/new'), utf8('x')), 'ERR_IO')
})
