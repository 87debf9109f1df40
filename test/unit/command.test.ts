/** What tools/command.ts does with arguments, in those commands that start fast. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const run = (file: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [file, ...args], { timeout: 50_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      stdout,
      stderr,
    }),
  )

describe.each([
  ['test/formal/run.ts', '--only', 'usage: npm run formal'],
  ['tools/dependencies.ts', null, 'usage: npm run dependencies'],
  ['tools/nodes/main.ts', null, 'usage: npm run nodes'],
  ['tools/release/main.ts', null, 'usage: npm run release'],
  ['tools/site/main.ts', null, 'usage: npm run site'],
])('%s', (file, option, usage) => {
  it('says how it is used, and ends with 2 where it is not', async () => {
    const [help, unknown, value] = await Promise.all([
      run(file, '--help'),
      run(file, '--no-such-option'),
      option === null ? null : run(file, option, 'x y'),
    ])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout.startsWith(usage)).toBe(true)
    expect(help.stdout).toMatch(/^exit status: 0 /im)
    for (const one of [unknown, value]) {
      if (one === null) continue
      expect(one).toMatchObject({ code: 2, stdout: '' })
      expect(one.stderr).toMatch(/^[a-z]+: error: .+\n/)
    }
  })
})
