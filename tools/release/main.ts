/** `npm run release`: everything of a release up to its publication, which is a person's. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { runCommand, UsageError } from '../command.ts'
import { buildPackage, pack, readManifest, ROOT } from '../package/build.ts'
import { findProblems, notesOf } from './check.ts'
import { makeSbom } from './sbom.ts'

const USAGE = `usage: npm run release [-- --dry-run [--no-tests]]

Checks that the tree is clean, that version, lock, tag and changelog agree, and that \`npm run check\` passes; packs the package twice, which has to give the same
bytes; and writes to dist/release: the tarball, its SBOM and that of all that builds it (CycloneDX, by npm), the changelog's part, and SHA256SUMS of them.
It publishes nothing: CONTRIBUTING.md has that step.

  --dry-run    goes on where something is wrong, and says all of it at the end
  --no-tests   with --dry-run: without \`npm run check\`

example: npm run release -- --dry-run

exit status: 0 it may be published, 1 it may not, 2 wrong use
`

const OUT = join(ROOT, 'dist/release')

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')
const hash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

function check(version: string): string[] {
  return findProblems({
    status: git('status', '--porcelain'),
    version,
    locked: (JSON.parse(read('package-lock.json')) as { version: string }).version,
    tags: git('tag', '--list').split('\n'),
    changelog: read('CHANGELOG.md'),
    repository: readManifest().repository?.url,
  })
}

/** Packs into a folder; false where a second time gives other bytes. */
function packTwice(out: string): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-release-'))
  try {
    const [first, second] = ['first', 'second'].map((name) => {
      const folder = join(directory, name)
      buildPackage(join(folder, 'built'))
      return pack(join(folder, 'built'), folder).file
    })
    cpSync(first!, join(out, basename(first!)))
    return hash(first!) === hash(second!)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function writeBeside(out: string, name: string): void {
  const { version } = readManifest()
  for (const [what, ending] of [
    ['package', ''],
    ['checkout', '-checkout'],
  ] as const)
    writeFileSync(
      join(out, `${name}${ending}.cdx.json`),
      `${JSON.stringify(makeSbom(what), null, 2)}\n`,
    )
  const notes = notesOf(read('CHANGELOG.md'), version)
  if (notes !== null) writeFileSync(join(out, `${name}.md`), `${notes}\n`)
  const sums = readdirSync(out)
    .toSorted()
    .map((file) => `${hash(join(out, file))}  ${file}\n`)
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
}

/** Makes a release in a folder, which holds nothing of an earlier one from then on. Returns the exit status. */
export function run(
  isDry: boolean,
  isTested: boolean,
  out: string = OUT,
  find: (version: string) => string[] = check,
): number {
  if (!isTested && !isDry) throw new UsageError('--no-tests goes with --dry-run')
  rmSync(out, { recursive: true, force: true })
  const { name, version } = readManifest()
  const problems = find(version)
  const isOver = (): boolean => problems.length > 0 && !isDry
  if (!isOver() && isTested) {
    const { status } = spawnSync('npm', ['run', 'check'], {
      cwd: ROOT,
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
    })
    if (status !== 0) problems.push('npm run check fails')
  }
  if (!isOver()) {
    mkdirSync(out, { recursive: true })
    if (!packTwice(out)) problems.push('packed twice, the package has other bytes')
    writeBeside(out, `${name}-${version}`)
    process.stdout.write(readFileSync(join(out, 'SHA256SUMS'), 'utf8'))
  }
  for (const problem of problems) process.stderr.write(`release: error: ${problem}\n`)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main)
  process.exitCode = await runCommand({
    name: 'release',
    usage: USAGE,
    options: {
      'dry-run': { type: 'boolean', default: false },
      'no-tests': { type: 'boolean', default: false },
    },
    run: (values) => run(values['dry-run'], !values['no-tests']),
  })
