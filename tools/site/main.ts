/** `npm run site`: the documentation site, and a look at all of it in Chromium. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { installApart } from '../apart.ts'
import { runCommand } from '../command.ts'
import { PAGES, ROOT } from './pages.ts'

const USAGE = `usage: npm run site [-- --check]

Makes dist/site of README.md and the pages of docs/: files for any web server, with a search that runs in the page and nothing from elsewhere. The first
time it installs the generator, which is no dependency of the project, into tools/site/node_modules, without running scripts of packages.
A link that leads nowhere, to a file or to a heading, fails.

  --check   also opens every page in Chromium, on a desktop and on a phone, in light and in dark, and searches

example: npm run site && npx vite preview --outDir dist/site

exit status: 0 done, 1 something is wrong with the pages, 2 wrong use, 3 the generator is not there
`

const FOLDER = join(ROOT, 'tools/site')
export const SITE: string = join(ROOT, 'dist/site')

function build(): boolean {
  rmSync(SITE, { recursive: true, force: true })
  const bin = join(FOLDER, 'node_modules/vitepress/bin/vitepress.js')
  const { status } = spawnSync(process.execPath, [bin, 'build', FOLDER], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  })
  return status === 0
}

async function run(isChecked: boolean): Promise<number> {
  if (!installApart(FOLDER)) throw new Error('the generator could not be installed')
  if (!build()) return 1
  const { findDeadLinks, lookAt } = await import('./check.ts')
  const problems = findDeadLinks(SITE)
  if (isChecked) problems.push(...(await lookAt(SITE)))
  for (const problem of problems) process.stderr.write(`site: error: ${problem}\n`)
  process.stdout.write(`dist/site: ${PAGES.length} pages, ${problems.length} problems\n`)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main)
  process.exitCode = await runCommand({
    name: 'site',
    usage: USAGE,
    options: { check: { type: 'boolean', default: false } },
    run: ({ check }) => run(check),
  })
