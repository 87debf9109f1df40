/** `npm run nodes`: brings the oldest Node that the client is for, then tests the installed package on it and on this one. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installApart } from '../apart.ts'

const root = join(import.meta.dirname, '../..')
if (process.argv.length > 2) {
  process.stdout.write(`usage: npm run nodes

Installs Node 22.12 (Linux, x64) into tools/nodes/node_modules and runs test/package/nodes.test.ts, which \`npm test\` runs on its own Node only.

exit status: 0 the client works on both, 1 it does not, 3 there is no such Node
`)
} else if (installApart(import.meta.dirname)) {
  const run = join(root, 'tools/run.mjs')
  const test = ['vitest', 'run', '--project', 'relay', 'test/package/nodes.test.ts']
  process.exitCode = spawnSync(process.execPath, [run, ...test], {
    cwd: root,
    stdio: 'inherit',
  }).status!
} else {
  process.stderr.write('nodes: error: Node 22 could not be installed\n')
  process.exitCode = 3
}
