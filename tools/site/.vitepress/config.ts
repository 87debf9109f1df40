/** The documentation site: README.md, the pages of docs/ and what lies beside them, as they are. `npm run site` builds it. */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { defineConfig, type MarkdownOptions } from 'vitepress'
import { addressOf, GROUPS, PAGES, resolveLink, ROOT, titleOf } from '../pages.ts'

/** Files and folders that pages link to. */
const linked = new Map<string, string>()

/** Links of the repository become links of the site. */
const links: MarkdownOptions['config'] = (md) => {
  md.core.ruler.push('repository-links', ({ env, tokens }) => {
    const page = relative(ROOT, (env.realPath ?? env.path) as string)
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      // The tag of a step stays on one line.
      if (token.type === 'code_inline' && /^\[[a-z]+-\d+\]$/.test(token.content))
        token.attrSet('class', 'step')
      const href = token.type === 'link_open' ? token.attrGet('href') : null
      if (href === null || /^([a-z]+:|#)/.test(href)) continue
      const { address, file } = resolveLink(page, href)
      token.attrSet('href', address)
      if (file === null) continue
      token.attrSet('target', '_self')
      linked.set(file, address)
    }
  })
  // Text in double braces is no expression.
  const text = md.renderer.rules.text!
  md.renderer.rules.text = (...all) => text(...all).replaceAll('{{', '&#123;&#123;')
}

/** Copies what is linked; a folder becomes the list of its files. */
function copyLinked(outDir: string): void {
  for (const [file, address] of linked) {
    const from = join(ROOT, file)
    const to = join(outDir, address)
    mkdirSync(dirname(to), { recursive: true })
    if (statSync(from).isDirectory()) writeFileSync(to, readdirSync(from).toSorted().join('\n'))
    else cpSync(from, to)
  }
}

/** Only what comes from here: nothing of a page is loaded from elsewhere, and no script runs that is not of the build. */
function strict(html: string): string {
  const inline = [...html.matchAll(/<script(?![^>]* src=)[^>]*>(.*?)<\/script>/gs)].map(
    ([, code]) => `'sha256-${createHash('sha256').update(code!).digest('base64')}'`,
  )
  const policy = [
    "default-src 'self'",
    `script-src 'self' ${inline.join(' ')}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
  ]
  const meta = `<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">`
  return html.replace('<head>', `<head>\n    ${meta}`)
}

export default defineConfig({
  title: 'Keyferry',
  lang: 'en',
  description:
    'Delivers encryption keys from your own infrastructure to your web apps, services and phones through a relay that cannot read them.',
  srcDir: ROOT,
  outDir: join(ROOT, 'dist/site'),
  srcExclude: [
    '{.ci,demo,deriver,dist,examples,selfhost,shared,test,tools,web,worker}/**',
    'docs/{api,images,vectors}/**',
  ],
  rewrites: Object.fromEntries(PAGES.map((page) => [page, `${addressOf(page)}.md`])),
  markdown: { config: links },
  metaChunk: true,
  transformHtml: strict,
  head: [['link', { rel: 'icon', href: '/icon.svg', type: 'image/svg+xml' }]],
  buildEnd({ outDir }) {
    copyLinked(outDir)
    cpSync(join(ROOT, 'deriver/console/page/icon.svg'), join(outDir, 'icon.svg'))
  },
  vite: { publicDir: false, build: { target: 'es2022' }, server: { fs: { allow: [ROOT] } } },
  themeConfig: {
    logo: { src: '/icon.svg', alt: '' },
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: Object.entries(GROUPS).map(([text, pages]) => ({
      text,
      items: pages.map((page) => ({
        text: page === 'README.md' ? 'What Keyferry is' : titleOf(page),
        link: `/${addressOf(page)}`,
      })),
    })),
    externalLinkIcon: true,
  },
})
