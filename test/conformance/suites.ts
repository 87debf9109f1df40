/**
 * Other people's test suites. They are not part of the project: they are read from the folder KEYFERRY_SUITES, by default `../shared/suites`.
 * Tests in every engine import them as `virtual:suite/NAME`, which is null where the folder is absent; with KEYFERRY_SUITES_REQUIRED=1 that
 * is an error.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { type Plugin } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Where the suites are expected. */
export const suitesFolder = resolve(root, process.env['KEYFERRY_SUITES'] ?? '../shared/suites')
export const hasSuites = existsSync(`${suitesFolder}/profile.json`)
export const requiresSuites = process.env['KEYFERRY_SUITES_REQUIRED'] === '1'

/** Public names of the sources, with the commits that the tests were written for. */
const SOURCES = [
  'C2SP/x509-limbo 8a2e6f41',
  'google/boringssl a0689af2 (PKITS, certificate chains, CRLs)',
  'C2SP/wycheproof dac1dd47',
  'C2SP/CCTV 1e3d2860',
  'cloudflare/circl 33d33c75 (RFC 9180)',
  'FiloSottile/hpke 8aa8a04d',
  'transparency-dev/merkle 417fb0c3',
]
export const ABSENT = `other people's suites are not at ${suitesFolder} (KEYFERRY_SUITES names the folder), so only the project's own vectors run; sources: ${SOURCES.join(', ')}`

interface Vector {
  mode: number
  kem_id: number
  kdf_id: number
  aead_id: number
  encryptions: unknown[]
}

/** Only what the tests use: the whole files are large, and every engine loads them. */
const SELECT: Record<string, (suite: unknown) => unknown> = {
  'hpke/rfc9180-full': (suite) =>
    (suite as Vector[])
      .filter(
        (one) =>
          one.mode === 0 &&
          [0x10, 0x20].includes(one.kem_id) &&
          one.kdf_id === 1 &&
          one.aead_id === 2,
      )
      .map((one) => ({ ...one, encryptions: one.encryptions.slice(0, 1) })),
}

function readSuite(name: string): unknown {
  const plain = `${suitesFolder}/${name}.json`
  const text = existsSync(plain)
    ? readFileSync(plain, 'utf8')
    : gunzipSync(readFileSync(`${plain}.gz`)).toString('utf8')
  const suite = JSON.parse(text) as unknown
  return SELECT[name]?.(suite) ?? suite
}

const PREFIX = 'virtual:suite/'

/** Serves `virtual:suite/NAME` to tests. Throws on loading one that is required and absent. */
export function suites(): Plugin {
  return {
    name: 'suites',
    resolveId: (id) => (id.startsWith(PREFIX) ? `\0${id}` : undefined),
    load(id) {
      if (!id.startsWith(`\0${PREFIX}`)) return
      if (!hasSuites && requiresSuites) throw new Error(ABSENT)
      const suite = hasSuites ? readSuite(id.slice(PREFIX.length + 1)) : null
      return `export default JSON.parse(${JSON.stringify(JSON.stringify(suite))})`
    },
  }
}
