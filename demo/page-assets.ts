/** The page as the web server hands it out: bundled from demo/page with esbuild when the demo starts. */
import { type Asset } from '../deriver/console/assets.ts'
import { bundlePage } from '../deriver/console/bundle.ts'

export { type Asset }

/** Bundles the page. Returns its files by path. */
export function buildPage(): Promise<Map<string, Asset>> {
  const { html, script, style, icon } = bundlePage(new URL('./page/', import.meta.url))
  return Promise.resolve(
    new Map<string, Asset>([
      ['/', { type: 'text/html; charset=utf-8', body: html }],
      ['/main.js', { type: 'text/javascript; charset=utf-8', body: script }],
      ['/style.css', { type: 'text/css; charset=utf-8', body: style }],
      ['/icon.svg', { type: 'image/svg+xml', body: icon }],
    ]),
  )
}
