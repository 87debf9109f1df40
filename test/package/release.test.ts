/** What stops a release, and what its list of parts says. `npm run release -- --dry-run` makes all of it. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readManifest } from '../../tools/package/build.ts'
import { findProblems, notesOf, type State } from '../../tools/release/check.ts'
import { run } from '../../tools/release/main.ts'
import { makeSbom } from '../../tools/release/sbom.ts'

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Security

- A hole.

## [1.1.0] - 2026-11-01

### Added

- A thing.
`

const READY: State = {
  status: '',
  version: '1.2.0',
  locked: '1.2.0',
  tags: ['v1.1.0'],
  changelog: CHANGELOG,
  repository: 'git+https://code.example/keyferry.git',
}

it('a release may be made when everything agrees', () => {
  expect(findProblems(READY)).toEqual([])
  expect(notesOf(CHANGELOG, '1.2.0')).toBe('### Security\n\n- A hole.')
})

it.each<[string, Partial<State>]>([
  ['not committed', { status: ' M README.md' }],
  [
    'no version',
    { version: 'next', locked: 'next', changelog: CHANGELOG.replace('1.2.0', 'next') },
  ],
  ['package-lock.json 1.1.0', { locked: '1.1.0' }],
  ['tagged already', { tags: ['v1.1.0', 'v1.2.0'] }],
  ['no heading', { changelog: CHANGELOG.replace('[1.2.0]', '[1.3.0]') }],
  ['no heading', { changelog: CHANGELOG.replace('2026-12-01', 'soon') }],
  ['says nothing', { changelog: CHANGELOG.replace('- A hole.', '') }],
  ['under [Unreleased]', { changelog: CHANGELOG.replace('leased]\n', 'leased]\n\n- More.\n') }],
  ['no repository', { repository: undefined }],
])('%s: no release', (reason, change) => {
  const problems = findProblems({ ...READY, ...change })
  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain(reason)
})

it('what is no release leaves nothing of an earlier one to be published', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyferry-earlier-'))
  writeFileSync(join(folder, 'keyferry-1.1.0.tgz'), 'an earlier one')
  expect(run(false, true, folder, () => ['not committed'])).toBe(1)
  expect(existsSync(folder)).toBe(false)
})

it('the changelog has the headings that it promises', () => {
  const changelog = readFileSync('CHANGELOG.md', 'utf8')
  const open = changelog.slice(changelog.indexOf('## [Unreleased]')).split(/^## /m)[1]!
  const headings = [...open.matchAll(/^### (.+)$/gm)].map(([, one]) => one!)
  const allowed = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security', 'Protocol']
  expect(headings).toEqual(expect.arrayContaining(['Security', 'Protocol']))
  expect(headings.filter((one) => !allowed.includes(one))).toEqual([])
  expect(new Set(headings).size).toBe(headings.length)
})

it('the list of parts of the package is what it depends on, each with its hash', () => {
  const { name, version, dependencies } = readManifest()
  const { bomFormat, metadata, components } = makeSbom('package')
  expect(bomFormat).toBe('CycloneDX')
  expect(metadata.component).toMatchObject({ name, version })
  const found = components.map((one) => [one.name, one.version])
  expect(Object.fromEntries(found)).toEqual(dependencies)
  for (const { hashes } of components) expect(hashes[0]?.alg).toBe('SHA-512')
  const all = makeSbom('checkout').components.map((one) => one.name)
  expect(all).toEqual(expect.arrayContaining(['hono', 'drizzle-orm', 'esbuild']))
})
