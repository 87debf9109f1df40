// docs/vectors: made again byte for byte, checked by a second implementation.
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { makeVectors, VECTORS } from '../vectors/generate.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

it(
  'the generator makes the committed files again, byte for byte',
  { timeout: 60_000 },
  async () => {
    const made = await makeVectors()
    expect((await readdir(VECTORS)).toSorted()).toEqual(Object.keys(made).toSorted())
    for (const [name, text] of Object.entries(made)) {
      expect(text === (await readFile(VECTORS + name, 'utf8')), name).toBe(true)
    }
  },
)

it('a second implementation agrees with them', async ({ skip }) => {
  const python = await run('python3', ['--version']).then(
    () => true,
    () => false,
  )
  if (!python)
    return skip('no python3 here: the vectors were not checked by the second implementation')
  const { stdout } = await run('python3', [`${root}test/vectors/reference.py`, VECTORS])
  expect(stdout).toMatch(/^\d+ values agree\n$/)
  expect(Number.parseInt(stdout)).toBeGreaterThan(80)
})
