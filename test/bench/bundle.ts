/**
 * Size of the browser client, bundled as an app would: a main file with connect, encrypt, decrypt and path validation, and chunks that are loaded when they are
 * first needed.
 */
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build as bundleWith, type BuildResult, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
const gzip = (code: Uint8Array): number => gzipSync(code, { level: 9 }).length

/** Bytes of a file, minified, before and after gzip, and the source files in it. */
export interface Size {
  minified: number
  gzip: number
  inputs: string[]
}

/** What is imported when it is needed is left out, as bundlers that make chunks do. */
const leaveLazy: Plugin = {
  name: 'leave lazy',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined,
    )
  },
}

async function bundle(contents: string, plugins: Plugin[]): Promise<Size> {
  const result: BuildResult<{ write: false; metafile: true }> = await bundleWith({
    stdin: { contents, resolveDir: root },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    plugins,
  })
  const code = result.outputFiles[0]!.contents
  const [output] = Object.values(result.metafile.outputs)
  const inputs = Object.entries(output!.inputs).flatMap(([path, { bytesInOutput }]) =>
    bytesInOutput > 0 ? [path] : [],
  )
  return { minified: code.length, gzip: gzip(code), inputs }
}

const exportAll = (files: readonly string[]): string =>
  files.map((file) => `export * from './${file}'`).join('\n')

/** The file that an app with these files loads first. */
export function mainSize(files: readonly string[]): Promise<Size> {
  return bundle(exportAll(files), [leaveLazy])
}

/**
 * What each chunk adds to the main file, by the name of the module that it begins with, in bytes after gzip; and the source files of the main file, where a
 * bundler makes chunks of what several share.
 */
export async function chunkSizes(
  files: readonly string[],
): Promise<{ sizes: Map<string, number>; main: string[] }> {
  const { outputFiles, metafile } = await bundleWith({
    stdin: { contents: exportAll(files), resolveDir: root },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    splitting: true,
    write: false,
    metafile: true,
    outdir: 'chunks',
    format: 'esm',
    target: 'es2022',
  })
  const codes = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]))
  const { outputs } = metafile
  const reach = (path: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(path)) return seen
    seen.add(path)
    for (const { kind, path: next } of outputs[path]!.imports)
      if (kind === 'import-statement') reach(next, seen)
    return seen
  }
  const entries = Object.entries(outputs).filter(([, { entryPoint }]) => entryPoint !== undefined)
  const main = reach(entries.find(([, { entryPoint }]) => entryPoint === '<stdin>')![0])
  const sizes = new Map<string, number>()
  for (const [path, { entryPoint }] of entries) {
    if (main.has(path)) continue
    const own = [...reach(path)].filter((one) => !main.has(one))
    const bytes = own.map((one) => gzip(codes.get(basename(one))!))
    sizes.set(
      entryPoint!,
      bytes.reduce((sum, one) => sum + one, 0),
    )
  }
  return { sizes, main: [...main].flatMap((path) => Object.keys(outputs[path]!.inputs)) }
}
