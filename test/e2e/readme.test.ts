/** The README's client, run as it stands there. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startAcme, type Acme } from '../lib/acme.ts'
import { writeClientFiles } from '../lib/client-files.ts'

const example = new URL('../../examples/client.ts', import.meta.url).pathname

let acme: Acme

beforeAll(async () => {
  acme = await startAcme([])
  await writeClientFiles(acme.directory, join(acme.directory, 'keyferry'), acme.deriver)
})
afterAll(() => acme?.close())

it('the README shows examples/client.ts, in 12 lines', () => {
  const source = readFileSync(example, 'utf8')
  expect(readFileSync(new URL('../../README.md', import.meta.url), 'utf8')).toContain(
    `\`\`\`ts\n${source}\`\`\``,
  )
  expect(source.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(12)
})

it('it prints the decrypted note, twice: the second time from its stored state', async () => {
  for (let i = 0; i < 2; i++) {
    const { stdout } = await promisify(execFile)(process.execPath, [example], {
      cwd: acme.directory,
      timeout: 30_000,
    })
    expect(stdout).toBe('Hello\n')
  }
})
