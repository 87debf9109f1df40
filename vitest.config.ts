import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { ABSENT, hasSuites, suites } from './test/conformance/suites.ts'
import { chromium, chromiumArgs } from './tools/chromium.ts'
import { LongestFirst } from './tools/longest-first.ts'

// The shared vectors, and other people's, run in all three engines: Node, workerd and Chromium.
const vectors = ['test/vectors/**/*.test.ts', 'test/conformance/engines/*.test.ts']
// The whole suite of the client, and what it stands on that has keys in it; the vectors and other people's suites come on top.
const noble = [
  'client-!(ca|ladder|size)',
  'client',
  'hpke',
  'key-package',
  'message',
  'message-range',
  'message-stream',
  'open-keyring',
  'signature',
  'certificate-signature',
  'unwrap',
]
const tests = (...folders: string[]) => folders.map((folder) => `test/${folder}/**/*.test.ts`)

if (!hasSuites) console.warn(ABSENT)

export default defineConfig({
  plugins: [suites()],
  test: {
    // Two for a core: half of the time they wait for other processes, clocks and the network.
    maxWorkers: Math.min(4, 2 * availableParallelism()),
    sequence: { sequencer: LongestFirst },
    // Of the tests of one file that may: most of their time is a client's pause before its next fetch.
    maxConcurrency: 12,
    // What is waited for comes; a second is little on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            ...tests('unit', 'properties', 'docs', 'formal'),
            'test/conformance/*.test.ts',
            ...vectors,
          ],
          testTimeout: 60_000,
        },
      },
      {
        // The client without WebCrypto: all that it is made of, again, on noble.
        extends: true,
        test: {
          name: 'noble',
          setupFiles: ['test/lib/without-webcrypto.ts'],
          // Each of these files runs alone in another project; here they share the processes in which WebCrypto is gone.
          isolate: false,
          include: [...noble.map((name) => `test/unit/${name}.test.ts`), ...vectors],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        plugins: [cloudflareTest({ wrangler: { configPath: './wrangler.toml' } })],
        test: {
          name: 'worker',
          include: [...tests('worker'), ...vectors],
          testTimeout: 60_000,
        },
      },
      {
        // Black box: the Worker behind real HTTP, the deriver and the CLI as processes.
        extends: true,
        test: {
          name: 'relay',
          include: tests('relay', 'hostile', 'invariants', 'e2e', 'cli', 'interop', 'package'),
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // Served as they are: no bundling step that would reload a running test.
        optimizeDeps: {
          exclude: [
            '@noble/ciphers',
            '@noble/curves',
            '@noble/hashes',
            '@noble/post-quantum',
            'fast-check',
            'hpke',
          ],
        },
        test: {
          name: 'browser',
          // Bytes too: engines that have their own base64 are asked for it.
          include: [...tests('browser'), 'test/unit/bytes.test.ts', ...vectors],
          testTimeout: 60_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            instances: [{ browser: 'chromium' }],
            provider: playwright({
              launchOptions: { executablePath: chromium, args: chromiumArgs },
            }),
          },
        },
      },
    ],
  },
})
