/** The page as the web server hands it out: bundled from demo/page with esbuild when the demo starts. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** A file of the page. */
export interface Asset {
  type: string
  body: Buffer | string
}

const PAGE = new URL('./page/', import.meta.url)

/** Bundles the page. Returns its files by path. */
export async function buildPage(): Promise<Map<string, Asset>> {
  const file = (name: string): Promise<Buffer> => readFile(new URL(name, PAGE))
  const { outputFiles } = await build({
    entryPoints: ['main.ts', 'style.css'].map((name) => fileURLToPath(new URL(name, PAGE))),
    outdir: '/',
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2023',
    minify: true,
    legalComments: 'none',
    logLevel: 'silent',
  })
  const built = (ending: string): string =>
    outputFiles.find(({ path }) => path.endsWith(ending))!.text
  const html = { type: 'text/html; charset=utf-8', body: await file('index.html') }
  return new Map<string, Asset>([
    ['/', html],
    ['/main.js', { type: 'text/javascript; charset=utf-8', body: built('.js') }],
    ['/style.css', { type: 'text/css; charset=utf-8', body: built('.css') }],
    ['/icon.svg', { type: 'image/svg+xml', body: await file('icon.svg') }],
  ])
}
