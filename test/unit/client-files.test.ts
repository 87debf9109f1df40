// Files and pipes as a client reads them: what is cancelled ends, and what fails is heard of by whoever reads.
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { streamOf } from '../../deriver/commands/client-files.ts'

/** A pipe with so many parts in it, whose other end says nothing more. */
function pipe(parts: number): Readable {
  const input = new Readable({ read() {}, highWaterMark: 1 })
  for (let i = 0; i < parts; i++) input.push(Buffer.alloc(10))
  return input
}

it.each([0, 1, 2, 3, 4, 5, 6])(
  'what is cancelled %i steps after a read ends, whatever is still there, and nothing is thrown past anybody',
  async (steps) => {
    for (const parts of [1, 5]) {
      const input = pipe(parts)
      const reader = streamOf(input).getReader()
      await reader.read()
      const more = reader.read()
      for (let i = 0; i < steps; i++) await Promise.resolve()
      await reader.cancel(new Error('refused'))
      expect((await more).done).toBe(true)
      await setImmediate()
      expect(input.destroyed).toBe(true)
    }
  },
)

it('everything comes, in order, and then the end', async () => {
  const input = Readable.from([Buffer.from('one '), Buffer.from('two')])
  expect(await new Response(streamOf(input)).text()).toBe('one two')
})

it('an error is that of the reader, also one from before the first read', async () => {
  const input = new Readable({ read() {} })
  const stream = streamOf(input)
  input.destroy(new Error('the disk is gone'))
  await setImmediate()
  await expect(stream.getReader().read()).rejects.toThrow('the disk is gone')
})
