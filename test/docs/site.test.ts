/** The documentation site leaves no page out, and its check of links finds a dead one. `npm run site -- --check` builds and opens it. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findDeadLinks } from '../../tools/site/check.ts'
import { addressOf, PAGES, resolveLink, ROOT, titleOf } from '../../tools/site/pages.ts'

const pagesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))

it('every page of docs/ and of the top is in the sidebar, once', () => {
  expect([...PAGES].toSorted()).toEqual([...pagesIn('docs'), ...pagesIn('.')].toSorted())
  expect(new Set(PAGES.map(addressOf)).size).toBe(PAGES.length)
  for (const page of PAGES) expect(titleOf(page)).not.toBe('')
})

it('a link to a page leads to a page of the site, one to a file to the file, and one to nothing is an error', () => {
  expect(resolveLink('docs/client.md', 'PROTOCOL.md#errors')).toEqual({
    address: '/PROTOCOL.html#errors',
    file: null,
  })
  expect(resolveLink('docs/client.md', '../README.md').address).toBe('/index.html')
  expect(resolveLink('README.md', 'examples/client.ts')).toEqual({
    address: '/files/examples/client.ts.txt',
    file: 'examples/client.ts',
  })
  expect(resolveLink('docs/client.md', 'openapi.json').address).toBe('/files/docs/openapi.json')
  expect(() => resolveLink('docs/client.md', '../no-such.md')).toThrow('../no-such.md')
  expect(() => resolveLink('README.md', '../elsewhere')).toThrow('../elsewhere')
})

it('dead links and dead headings of built pages are found', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  try {
    const page = (body: string): string => `<html><head></head><body>${body}</body></html>`
    writeFileSync(join(folder, 'index.html'), page('<h1 id="a">A</h1><a href="#a">a</a>'))
    const links = [
      '/',
      '/index.html#a',
      'https://elsewhere.example/',
      '/index.html#b',
      '/gone.html',
    ]
    const anchors = links.map((link) => `<a href="${link}">x</a>`)
    writeFileSync(join(folder, 'other.html'), page(`${anchors.join('')}<img src="/gone.svg">`))
    expect(findDeadLinks(folder)).toEqual([
      'other.html: /index.html#b: there is no such heading',
      'other.html: /gone.html: there is no such file',
      'other.html: /gone.svg: there is no such file',
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
