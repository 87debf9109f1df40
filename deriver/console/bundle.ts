/** Bundles the console's page with esbuild: for a checkout, and for whoever makes the package. Not in the package. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { type PageFiles } from './assets.ts'

const PAGE = new URL('./page/', import.meta.url)

/** The texts of a page's files: by default the console's. `folder` has main.ts, style.css, index.html and icon.svg. */
export function bundlePage(folder: URL = PAGE): PageFiles {
  const { outputFiles } = buildSync({
    entryPoints: ['main.ts', 'style.css'].map((name) => fileURLToPath(new URL(name, folder))),
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
  const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
  return {
    html: text('index.html'),
    script: built('.js'),
    style: built('.css'),
    icon: text('icon.svg'),
  }
}
