// What a browser downloads before the first key, and that nothing which stands in for an older platform is in it.
import { expect, it } from 'vitest'
import { chunkSizes, mainSize } from '../bench/bundle.ts'

/** Bytes after gzip at most. What is in it is needed with the first key, or when the network fails. */
const LIMIT = 30_000

const CLIENT = ['web/index.ts']

it(`the client with path validation has at most ${LIMIT} bytes after gzip`, async () => {
  const { gzip, inputs } = await mainSize(CLIENT)
  console.log(`client: ${gzip} bytes after gzip; limit ${LIMIT}`)
  expect(gzip).toBeLessThanOrEqual(LIMIT)
  for (const needed of ['web/keyring.ts', 'shared/path.ts', 'shared/names.ts', 'shared/crl.ts'])
    expect(inputs).toContain(needed)
})

it('what most pages do not need, or not before the first answer, is in chunks of its own', async () => {
  const { inputs } = await mainSize(CLIENT)
  const isLazy = (path: string): boolean =>
    /(^shared\/(hash|trust|catalog|authority|ca-signature|name-forms|hpke|x-wing|dh-kem|hkdf|ml-kem|ml-kem-noble|welcome|refusal|evidence|sender)\.ts|^web\/(noble\/|package|refusal|evidence|ahead|lists|sender-work|events|offered|renewal-attempt))/.test(
      path,
    )
  expect(inputs.filter(isLazy)).toEqual([])
  // All cryptography before the first welcome is the platform's.
  expect(inputs.filter((path) => path.includes('node_modules'))).toEqual([])
  const { sizes, main } = await chunkSizes(CLIENT)
  expect(main.filter(isLazy)).toEqual([])
  expect([...sizes.keys()]).toEqual(
    expect.arrayContaining([
      'shared/ml-kem-noble.ts',
      'shared/welcome.ts',
      'web/package.ts',
      'web/sender-work.ts',
    ]),
  )
  for (const [name, bytes] of sizes) console.log(`chunk ${name}: ${bytes} bytes after gzip`)
})
