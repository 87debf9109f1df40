/** The page's files: made when the package was, or, in a checkout, bundled from deriver/console/page when the console starts. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Texts of the page's files. */
export interface PageFiles {
  html: string
  script: string
  style: string
  icon: string
}

/** A file as it is served. */
export interface Asset {
  type: string
  body: string
}

/** Files by path. */
export async function loadAssets(): Promise<Map<string, Asset>> {
  // Named so that neither the compiler nor a bundler follows: only one of the two is there.
  const built = new URL('./built-page.js', import.meta.url)
  const { html, script, style, icon } = existsSync(fileURLToPath(built))
    ? ((await import(built.href)) as PageFiles)
    : (
        (await import(new URL('./bundle.ts', import.meta.url).href)) as {
          bundlePage: () => PageFiles
        }
      ).bundlePage()
  return new Map([
    ['', { type: 'text/html; charset=utf-8', body: html }],
    ['main.js', { type: 'text/javascript; charset=utf-8', body: script }],
    ['style.css', { type: 'text/css; charset=utf-8', body: style }],
    ['icon.svg', { type: 'image/svg+xml', body: icon }],
  ])
}
