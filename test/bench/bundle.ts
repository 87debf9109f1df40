/** Size of the browser client, bundled as an app would: connect, encrypt, decrypt, path validation, and enrolment. */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** Bytes of a bundle of these files, minified, before and after gzip. */
export async function bundleSize(
  files: readonly string[],
): Promise<{ minified: number; gzip: number }> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const contents = files.map((file) => `export * from './${file}'`).join('\n')
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  })
  const { contents: code } = outputFiles[0]!
  return { minified: code.length, gzip: gzipSync(code, { level: 9 }).length }
}
