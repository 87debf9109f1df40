/** The X.509 suites and the runner that comes with them, which loads our adapter in a process of its own. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suitesFolder } from './suites.ts'

/** Suites by the file that holds them. */
export const X509_SUITES = [
  { name: 'x509-limbo', file: 'limbo.json' },
  { name: 'NIST PKITS', file: 'pkits.json.gz' },
  { name: 'Chromium chains', file: 'chromium-chain.json' },
  { name: 'Chromium CRLs', file: 'chromium-crl.json' },
  { name: 'real CAs', file: 'real.json.gz' },
] as const

/** What our validator may not lack: a case skipped for one of these is a failure. */
const REQUIRED = 'crl,maxChainDepth,rsa,weakRsa,checkCrl'
const ADAPTER = fileURLToPath(new URL('./x509-adapter.mjs', import.meta.url))

/** One case as the runner reports it. */
export interface X509Result {
  id: string
  outcome: string
  reason?: string
}

/** Runs a suite under the profile, all levels. `code` is the runner's exit status: 0 only where nothing failed. */
export async function runX509(
  file: string,
  adapter: string = ADAPTER,
): Promise<{ results: X509Result[]; code: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'keyferry-x509-'))
  const json = join(folder, 'results.json')
  const at = (name: string): string => join(suitesFolder, name)
  const args = [at('run-x509.mjs'), at(file), '--profile', at('profile.json'), '--adapter', adapter]
  args.push('--require', REQUIRED, '--json', json)
  try {
    const code = await new Promise<number>((resolve) => {
      execFile(process.execPath, args, { timeout: 120_000 }, (error) =>
        resolve(error === null ? 0 : typeof error.code === 'number' ? error.code : 3),
      )
    })
    const report = JSON.parse(await readFile(json, 'utf8')) as { results: X509Result[] }
    return { results: report.results, code }
  } catch {
    return { results: [], code: 3 }
  } finally {
    await rm(folder, { recursive: true })
  }
}
