/** The trust document in force as a file, on a machine without a database: `trust sign --current`, `catalog sign --current`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readCurrent } from '../../deriver/commands/trust.ts'
import { encodeEnvelope, type Envelope } from '../../shared/envelope.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { codeOf } from '../lib/deriver.ts'
import { makeTrust, makeWorld } from '../lib/world.ts'

function fileOf(envelope: Envelope): string {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  writeFileSync(join(directory, 'current.json'), encodeEnvelope(envelope))
  return join(directory, 'current.json')
}

it('is read after its authority key was replaced, and refused without a signature of its own', async () => {
  const world = await makeWorld()
  expect((await readCurrent(fileOf(world.trusts[0]!))).tenant).toBe(world.tenant)
  const next = await generateSigningKey('Ed25519', true)
  const authority = { keys: [next.spki], threshold: 1 }
  const both = await makeTrust(world, { authority }, [...world.authority, next])
  expect((await readCurrent(fileOf(both.envelope))).body.number).toBe(2)
  const old = await makeTrust(world, { authority }, world.authority)
  expect(await codeOf(readCurrent(fileOf(old.envelope)))).toBe('ERR_SIGNATURE')
})
