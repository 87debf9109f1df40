/** The installed client on the Nodes that it is for: the README's example, as JavaScript, in a project of its own. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../../tools/package/build.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { installPackage, packInto } from '../lib/consumer.ts'

/** Node 22, where `npm run nodes` has brought it. */
const older = join(ROOT, `tools/nodes/node_modules/node-22-linux-${process.arch}/bin/node`)
const isHere = existsSync(older)

const run = promisify(execFile)
let acme: Acme
let project: string
beforeAll(async () => {
  acme = await startAcme([])
  project = join(acme.directory, 'project')
  installPackage(project, packInto(acme.directory))
})
afterAll(() => acme?.close())

async function works(node: string): Promise<void> {
  // A client of its own: what one Node stored another need not read.
  const cwd = mkdtempSync(join(project, 'client-'))
  await writeClientFiles(cwd, join(acme.directory, 'keyferry'), acme.deriver)
  const source = readFileSync(join(ROOT, 'examples/client.ts'), 'utf8')
  writeFileSync(join(cwd, 'client.js'), stripTypeScriptTypes(source))
  const args = ['--disable-warning=ExperimentalWarning', 'client.js']
  // From nothing, then from what it stored.
  for (let i = 0; i < 2; i++)
    expect(await run(node, args, { cwd, timeout: 60_000 })).toEqual({
      stdout: 'Hello\n',
      stderr: '',
    })
}

it('the client runs on this Node', () => works(process.execPath))

describe.skipIf(!isHere)('Node 22.12, which `npm run nodes` brings', () => {
  it('runs the client', () => works(older))

  it('is told by the command what it needs', async () => {
    const bin = join(project, 'node_modules/.bin/keyferry')
    await expect(run(older, [bin, 'status'])).rejects.toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(
        /^keyferry: error: this is Node 22\.12\.0, and keyferry needs 24\.7 or newer\nkeyferry: hint: npm install /,
      ) as string,
    })
  })
})

it('what npm installed for it is what its files import, and nothing of relay, HSM or tests', () => {
  const folder = join(project, 'node_modules')
  const names = readdirSync(folder).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(folder, name)).map((one) => `${name}/${one}`) : name,
  )
  expect(names.filter((name) => !name.startsWith('.')).toSorted()).toEqual([
    '@noble/ciphers',
    '@noble/curves',
    '@noble/hashes',
    '@noble/post-quantum',
    'keyferry',
    'shamir-secret-sharing',
  ])
})
