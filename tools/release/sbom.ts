/** The list of what a release is made of, in CycloneDX, by npm's own command. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../package/build.ts'

/** What is read of it. */
export interface Sbom {
  bomFormat: string
  metadata: { component: { name: string; version: string } }
  components: { name: string; version: string; hashes: { alg: string; content: string }[] }[]
}

type Json = Record<string, unknown>
interface Lock {
  packages: Record<string, Json>
}

const WITHOUT = ['devDependencies', 'optionalDependencies', 'peerDependencies']
const NOT_OURS = ['dev', 'devOptional', 'optional', 'peer']

/** Leaves what the package depends on. npm's own `--omit` also leaves out what a tool asks for as a peer, such as @noble/hashes. */
function reduce(manifest: Json, { packages }: Lock): void {
  for (const field of WITHOUT) {
    delete manifest[field]
    delete packages['']![field]
  }
  for (const [path, one] of Object.entries(packages))
    if (NOT_OURS.some((flag) => one[flag] === true)) delete packages[path]
}

/** Of the package alone, or of all that the lock names: what builds and tests it, and what is in the relay. */
export function makeSbom(what: 'package' | 'checkout'): Sbom {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
  const manifest = read('package.json') as Json
  const lock = read('package-lock.json') as Lock
  if (what === 'package') reduce(manifest, lock)
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-sbom-'))
  try {
    // npm takes the name from the folder.
    const folder = join(directory, 'keyferry')
    mkdirSync(folder)
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
    const isWindows = process.platform === 'win32'
    const out = execFileSync(
      isWindows ? 'npm.cmd' : 'npm',
      ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'],
      { cwd: folder, encoding: 'utf8', shell: isWindows, maxBuffer: 16_777_216 },
    )
    return JSON.parse(out) as Sbom
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
