// A stream of any length needs no more memory than a short one. STREAM_MIB=4096 sends 4 GiB.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const MIB = 1024 * 1024
const length = Number(process.env['STREAM_MIB'] ?? 512)

it('encrypts and decrypts far more than fits in its memory', { timeout: 1_800_000 }, async () => {
  const pump = new URL('../lib/pump.ts', import.meta.url).pathname
  const args = ['--max-old-space-size=64', pump, String(length)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const out = JSON.parse(stdout) as { bytes: number; wrong: number; ahead: number; memory: number }
  expect(out).toMatchObject({ bytes: length * MIB, wrong: 0 })
  // Pieces of a mebibyte: what waits before, between and behind the two streams.
  expect(out.ahead).toBeLessThanOrEqual(8 * MIB)
  expect(out.memory).toBeLessThan(384 * MIB)
})
