/** `npm run nodes`: brings the oldest Node that the client is for, then tests the installed package on it and on this one. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installApart } from '../apart.ts'
import { runCommand } from '../command.ts'

const USAGE = `usage: npm run nodes

Installs Node 22.12 (Linux, x64) into tools/nodes/node_modules and runs test/package/nodes.test.ts, which \`npm test\` runs on its own Node only.

exit status: 0 the client works on both, 1 it does not, 2 wrong use, 3 there is no such Node
`

function run(): number {
  const folder = import.meta.dirname
  if (!installApart(folder)) throw new Error('Node 22 could not be installed')
  const args = ['vitest', 'run', '--project', 'relay', 'test/package/nodes.test.ts']
  const options = { cwd: join(folder, '../..'), stdio: 'inherit' } as const
  return spawnSync(process.execPath, ['tools/run.mjs', ...args], options).status ?? 1
}

if (import.meta.main)
  process.exitCode = await runCommand({ name: 'nodes', usage: USAGE, options: {}, run })
