/** Values that begin with a dash. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { expect, it } from 'vitest'
import { joinValues } from '../../deriver/arguments.ts'

const options = {
  confirm: { type: 'string' },
  key: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} satisfies ParseArgsOptionsConfig

const read = (...args: string[]) =>
  parseArgs({ args: joinValues(args, options), options, allowPositionals: true })

it('are those of the option before them, as one fingerprint in 64 begins', () => {
  for (const value of ['-x3Kq', '--Kx3', '-', '-9', '--_a'])
    for (const rest of [[], ['--json'], ['file']]) {
      const { values } = read('--confirm', value, ...rest)
      expect([rest, values.confirm]).toEqual([rest, value])
    }
  const { values, positionals } = read('a', '--key', '-1', '--key', 'b', '--json', '--', '-c')
  expect(values).toEqual({ key: ['-1', 'b'], json: true })
  expect(positionals).toEqual(['a', '-c'])
})

it('are none where an option follows, or where none is taken', () => {
  for (const args of [
    ['--confirm', '--json'],
    ['--confirm', '--jsn'],
    ['--confirm', '--key=a'],
    ['--confirm', '--'],
    ['--json', '-x3Kq'],
    ['--other', '-x3Kq'],
    ['--confirm=a', '-x3Kq'],
    ['--confirm'],
  ])
    expect(() => read(...args)).toThrow(TypeError)
})
