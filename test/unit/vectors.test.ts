// docs/vectors: made again byte for byte, checked by a second implementation, and trees against published vectors.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { leafHash, verifyLeaf } from '../../shared/tree.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeVectors, VECTORS } from '../vectors/generate.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

it('the generator makes the committed files again, byte for byte', async () => {
  const made = await makeVectors()
  expect((await readdir(VECTORS)).toSorted()).toEqual(Object.keys(made).toSorted())
  for (const [name, text] of Object.entries(made)) {
    expect(text === (await readFile(VECTORS + name, 'utf8')), name).toBe(true)
  }
})

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

interface Inclusion {
  kind: string
  leafIdx: number
  treeSize: number
  root: string
  leafHash: string
  proof: string[] | null
  wantErr: boolean
  desc: string
}

const suites = [process.env['KEYFERRY_SUITES'], `${root}../shared/suites`].find(
  (folder) => folder !== undefined && existsSync(`${folder}/merkle/merkle.json`),
)

describe.skipIf(suites === undefined)('the vectors of transparency-dev/merkle', () => {
  const decode = (text: string): Bytes => new Uint8Array(Buffer.from(text, 'base64'))

  it('[tree-1] come out as they say, where the leaf is a known one', async () => {
    const all = JSON.parse(await readFile(`${suites}/merkle/merkle.json`, 'utf8')) as Inclusion[]
    const inclusions = all.filter((one) => one.kind === 'inclusion')
    expect(inclusions.length).toBeGreaterThan(40)
    // The vectors give leaf hashes only; these are the leaves of Certificate Transparency's reference tree.
    const known = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ]
    const leaves = new Map(
      known.map((text): [string, Bytes] => {
        const leaf = new Uint8Array(Buffer.from(text, 'hex'))
        return [Buffer.from(leafHash(leaf)).toString('base64'), leaf]
      }),
    )
    let tried = 0
    for (const one of inclusions) {
      const leaf = leaves.get(one.leafHash)
      if (leaf === undefined) continue
      tried++
      const proof = { index: one.leafIdx, path: (one.proof ?? []).map(decode) }
      const verify = () => verifyLeaf(leaf, proof, one.treeSize, decode(one.root))
      if (one.wantErr) await expectCode(verify, 'ERR_HASH')
      else verify()
    }
    expect(tried).toBeGreaterThan(20)
  })
})
