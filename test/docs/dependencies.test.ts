/** docs/dependencies.md against what is installed, and the rules that it states. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import {
  findAllProblems,
  findProblems,
  handedOn,
  LOCKED,
  packagesOf,
  PARTS,
  readManifest,
  type Lock,
} from '../../tools/dependencies.ts'

const page = readFileSync('docs/dependencies.md', 'utf8')

/** Name and version of each row, under each heading. */
function listed(heading: string): Record<string, string> {
  const part = page.split(/^## /m).find((one) => one.startsWith(`${heading}\n`))!
  const rows = [...part.matchAll(/^- `([^`]+)` (\S+) \(([^)]+)\)\. \S/gm)]
  expect(rows.length).toBe([...part.matchAll(/^- /gm)].length)
  return Object.fromEntries(rows.map(([, name, version]) => [name!, version!]))
}

it('lists every package of every package.json, with its version, where it belongs', async () => {
  const { dependencies, peerDependencies, devDependencies, optionalDependencies } =
    readManifest('.')
  expect(listed('In the package')).toEqual(dependencies)
  expect(listed('Only where you install them')).toEqual(peerDependencies)
  const relay = listed("In the relay's bundle")
  const inRelay = (await handedOn()).filter((name) => !(name in dependencies!))
  expect(Object.keys(relay).toSorted()).toEqual(inRelay.toSorted())
  const apart = LOCKED.slice(1).map((folder) => readManifest(folder))
  const all = [{ devDependencies, optionalDependencies }, ...apart].flatMap((one) =>
    Object.entries({ ...one.devDependencies, ...one.optionalDependencies }),
  )
  const bare = all.map(([name, version]) => [name, version.replace(/^npm:.+@/, '')] as const)
  const tools = bare.filter(([name]) => !(name in peerDependencies!))
  expect({ ...relay, ...listed('Tools of this checkout') }).toEqual(Object.fromEntries(tools))
})

it('has the licence that the locks say', () => {
  const licenses = new Map(
    LOCKED.flatMap((folder) => {
      const { packages } = JSON.parse(readFileSync(`${folder}/package-lock.json`, 'utf8')) as Lock
      return Object.entries(packages).map(([path, { license }]) => [path, license] as const)
    }),
  )
  const rows = [...page.matchAll(/^- `([^`]+)` \S+ \(([^)]+)\)/gm)]
  for (const [, name, license] of rows)
    expect(licenses.get(`node_modules/${name}`) ?? license, name).toBe(license)
})

it('what clients load of others does not grow', async () => {
  const parts = await Promise.all(
    Object.entries(PARTS).map(async ([part, file]) => [part, await packagesOf(file)] as const),
  )
  const found = Object.fromEntries(parts)
  const later = ['@noble/hashes', '@noble/post-quantum']
  expect(found['client']).toEqual({ loaded: [], later })
  for (const part of ['enrolment', 'client in Node'])
    expect(found[part]).toEqual({ loaded: [], later: [] })
  const noble = ['@noble/ciphers', '@noble/curves', '@noble/hashes']
  expect(found['client on noble']).toEqual({ loaded: noble, later: [] })
  expect(found['relay']).toEqual({ loaded: ['@noble/hashes', 'drizzle-orm', 'hono'], later: [] })
  expect(Object.keys(readManifest('.').dependencies!)).toHaveLength(5)
})

it('versions are exact, hashes locked, licences known, and nothing runs when it is installed', async () => {
  expect(await findAllProblems()).toEqual([])
})

it('each of these is noticed', () => {
  const sound = { version: '1.0.0', license: 'MIT', integrity: 'sha512-x' }
  const problems = (manifest: object, one: object, given: string[] = []): string[] =>
    findProblems(
      manifest,
      { packages: { '': {}, 'node_modules/@a/b': { ...sound, ...one } } },
      given,
    )
  expect(problems({ dependencies: { '@a/b': '1.0.0' } }, {})).toEqual([])
  for (const version of ['^1.0.0', '1.x', 'latest', 'file:../b', 'npm:c@^1.0.0'])
    expect(problems({ peerDependencies: { '@a/b': version } }, {})).toHaveLength(1)
  expect(problems({ scripts: { postinstall: 'x' } }, {})).toHaveLength(1)
  expect(problems({}, { integrity: undefined })).toHaveLength(1)
  expect(problems({}, { hasInstallScript: true })).toHaveLength(1)
  expect(problems({ allowScripts: { '@a/b': true } }, { hasInstallScript: true })).toEqual([])
  expect(problems({}, { license: undefined })).toHaveLength(1)
  expect(problems({}, { license: 'MPL-2.0' })).toHaveLength(1)
  expect(problems({}, { license: 'MPL-2.0', dev: true })).toEqual([])
  expect(problems({}, { license: 'MPL-2.0', dev: true }, ['@a/b'])).toHaveLength(1)
  expect(problems({}, { license: 'GPL-3.0', dev: true })).toHaveLength(1)
  expect(problems({}, { license: '(GPL-3.0 OR MIT)' })).toEqual([])
  expect(problems({}, { license: 'GPL-3.0 AND MIT' })).toHaveLength(1)
})
