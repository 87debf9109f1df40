/** What has to be so before a release is made. */

export interface State {
  /** What `git status --porcelain` says. */
  status: string
  /** Of package.json, and of the lock. */
  version: string
  locked: string
  tags: readonly string[]
  changelog: string
  /** Address of the source, which npm's provenance names. */
  repository: string | undefined
}

/** The part of the changelog about a version, without its heading; `null` where there is none with a date. */
export function notesOf(changelog: string, version: string): string | null {
  const parts = changelog.split(/^## /m)
  const heading = `[${version}] - `
  const part = parts.find((one) => one.startsWith(heading))
  if (part === undefined) return null
  const [first, ...rest] = part.slice(heading.length).split('\n')
  return /^\d{4}-\d{2}-\d{2}$/.test(first!) ? rest.join('\n').trim() : null
}

/** The reasons against a release, in words; none where it may be made. */
export function findProblems(state: State): string[] {
  const { status, version, locked, tags, changelog, repository } = state
  const problems: string[] = []
  if (status !== '') problems.push('there are changes that are not committed')
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) problems.push(`${version} is no version`)
  if (locked !== version)
    problems.push(`package.json says ${version} and package-lock.json ${locked}`)
  if (tags.includes(`v${version}`)) problems.push(`v${version} is tagged already`)
  const notes = notesOf(changelog, version)
  if (notes === null) problems.push(`CHANGELOG.md has no heading "## [${version}] - DATE"`)
  else if (!notes.includes('\n- ')) problems.push(`CHANGELOG.md says nothing of ${version}`)
  const open = /^## \[Unreleased\]\n(.*?)(?=^## |(?![^]))/ms.exec(changelog)?.[1] ?? ''
  if (notes !== null && /^- /m.test(open))
    problems.push('CHANGELOG.md has entries under [Unreleased]')
  if (repository === undefined)
    problems.push('package.json names no repository, which provenance is about')
  return problems
}
