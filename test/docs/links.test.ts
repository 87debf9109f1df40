// Every relative link and anchor of every page leads somewhere.
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../tools/package/build.ts'
import { anchorsIn, linksIn, PAGES } from '../lib/markdown.ts'

/** What is wrong with where a link of a page leads, or nothing. */
function problemOf(page: string, link: string): string | undefined {
  if (/^(https|mailto):/.test(link)) return undefined
  if (/^\w+:|^\//.test(link)) return 'neither https nor relative'
  const [path, anchor] = link.split('#') as [string, string?]
  const target = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)))
  if (target.startsWith('..') || !existsSync(join(ROOT, target))) return 'no such file'
  if (anchor === undefined) return undefined
  const text = PAGES.get(target)
  if (text === undefined) return 'an anchor in what is no page'
  return anchorsIn(text).has(anchor) ? undefined : 'no such heading'
}

const problemsOf = (page: string, text: string): string[] =>
  linksIn(text).flatMap((link) => {
    const problem = problemOf(page, link)
    return problem === undefined ? [] : [`${page}: ${link}: ${problem}`]
  })

it('every link leads somewhere', () => {
  expect([...PAGES].flatMap(([page, text]) => problemsOf(page, text))).toEqual([])
})

it('a link that leads nowhere is found', () => {
  const text = `# A heading: \`code\`, twice
[a](LICENSE) [b](docs/none.md) [c](#a-heading-code-twice) [d](#another) [e](docs/PROTOCOL.md#none)
<img src="docs/none.svg" /> [f](http://plain.example) \`[g](in-code.md)\`
`
  expect([...anchorsIn(text)]).toEqual(['a-heading-code-twice'])
  expect(problemsOf('README.md', text)).toEqual([
    'README.md: docs/none.md: no such file',
    // The heading above is not in the page that is there.
    'README.md: #a-heading-code-twice: no such heading',
    'README.md: #another: no such heading',
    'README.md: docs/PROTOCOL.md#none: no such heading',
    'README.md: http://plain.example: neither https nor relative',
    'README.md: docs/none.svg: no such file',
  ])
})

it('docs/README.md lists every page of docs/ once', () => {
  const pages = [...PAGES.keys()].filter((page) => /^docs\/(?!README)[^/]+\.md$/.test(page))
  const [, list] = PAGES.get('docs/README.md')!.split('\n## All pages\n')
  const listed = linksIn(list!).map((link) => `docs/${link}`)
  expect(listed.filter((path) => pages.includes(path)).toSorted()).toEqual(pages.toSorted())
})
