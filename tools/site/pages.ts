/** The pages of the documentation site, in the order of those who read them. A test demands that each page of docs/ is here, once. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

/** Files of the repository, by whom they are for. */
export const GROUPS: Record<string, readonly string[]> = {
  'Start here': ['README.md', 'docs/README.md', 'docs/glossary.md'],
  'Web developer': [
    'docs/client.md',
    'docs/enrolment.md',
    'docs/offline.md',
    'docs/integrations.md',
    'docs/command-line.md',
    'docs/migration.md',
  ],
  Mobile: ['docs/mobile.md'],
  'Operator of a deriver': [
    'docs/deriver.md',
    'docs/certificates.md',
    'docs/life-cycle.md',
    'docs/revocation.md',
    'docs/trust.md',
    'docs/backup.md',
    'docs/console.md',
  ],
  'Operator of a relay': ['docs/OPERATIONS.md', 'docs/self-hosting.md', 'docs/cluster.md'],
  'Security engineer': [
    'docs/THREAT-MODEL.md',
    'docs/PROTOCOL.md',
    'docs/audit.md',
    'docs/compliance.md',
    'docs/comparison.md',
    'docs/conformance.md',
    'docs/dependencies.md',
    'SECURITY.md',
  ],
  Project: ['docs/performance.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
}

export const PAGES: readonly string[] = Object.values(GROUPS).flat()

/** Where a page is on the site, without the ending: `docs/` is left out, and the README is the first page. */
export function addressOf(page: string): string {
  if (page === 'README.md') return 'index'
  if (page === 'docs/README.md') return 'documentation'
  return page.replace(/^docs\//, '').replace(/\.md$/, '')
}

/** The first heading of a page. */
export function titleOf(page: string): string {
  const title = /^# (.+)$/m.exec(readFileSync(join(ROOT, page), 'utf8'))?.[1]
  if (title === undefined) throw new Error(`${page}: no heading`)
  return title.replaceAll('`', '')
}

/** Where a link of a page leads on the site: to another page, or to the file itself. Throws for one that leads nowhere. */
export function resolveLink(page: string, link: string): { address: string; file: string | null } {
  const [path, hash = ''] = link.split(/(?=#)/) as [string, string?]
  const file = join(page, '..', decodeURI(path)).replace(/\/$/, '')
  if (PAGES.includes(file)) return { address: `/${addressOf(file)}.html${hash}`, file: null }
  if (file.startsWith('..') || !existsSync(join(ROOT, file)))
    throw new Error(`${page}: a link to ${link}, which is not there`)
  // As text, whatever a server makes of the ending.
  const isShown = /\.(json|svg)$/.test(file)
  return { address: `/files/${file}${isShown ? '' : '.txt'}`, file }
}
