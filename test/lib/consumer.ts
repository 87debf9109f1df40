/** Somebody else's project with Keyferry in it: the packed tarball, installed by npm without a network. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buildPackage, pack, readManifest, ROOT, type Packed } from '../../tools/package/build.ts'

/** A package of this checkout's node_modules. */
const own = (name: string): string => join(ROOT, 'node_modules', name)

/** Builds and packs into a folder. */
export function packInto(folder: string): Packed {
  mkdirSync(folder, { recursive: true })
  buildPackage(join(folder, 'built'))
  return pack(join(folder, 'built'), folder)
}

/** Makes a project in `folder` and installs the tarball with its dependencies, which come from this checkout; `links` are other packages of it. */
export function installPackage(folder: string, { file }: Packed, links: string[] = []): void {
  mkdirSync(folder, { recursive: true })
  const dependencies = Object.keys(readManifest().dependencies)
  const json = {
    name: 'stranger',
    private: true,
    type: 'module',
    dependencies: {
      keyferry: `file:${file}`,
      ...Object.fromEntries(dependencies.map((name) => [name, `file:${own(name)}`])),
    },
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(json))
  const args = ['install', '--offline', '--no-audit', '--no-fund', '--silent']
  // An empty cache of its own: nothing that was fetched before is found.
  args.push('--cache', join(folder, '.npm'))
  const isWindows = process.platform === 'win32'
  execFileSync(isWindows ? 'npm.cmd' : 'npm', args, { cwd: folder, shell: isWindows })
  for (const name of links) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(own(name), link)
  }
}

/** The fenced blocks of a page in a language. */
export const blocksOf = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, one]) => one!)
