/** Evidence in the hands of a stranger: a client keeps it, and `keyferry inspect` checks it where there is nothing but the tenant id. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { base32 } from '../../shared/bytes.ts'
import { encodeJson } from '../../shared/json.ts'
import { encodeLogEvidence } from '../../shared/log-evidence.ts'
import { decodeRelease } from '../../shared/release.ts'
import { keyferryIn, spawnKeyferryIn } from '../lib/cli.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { signHead } from '../lib/thief.ts'
import { entryOf, evidenceOf, history, releaseOf, showing } from '../lib/log-history.ts'
import { makeWorld, random } from '../lib/world.ts'

// No tenant is in this directory: a stranger has none.
const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
const keyferry = keyferryIn(directory)
const file = join(directory, 'fork.evidence')
let tenant: string

beforeAll(() => writeFileSync(join(directory, 'note'), ''))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

it('explains a fork that a client was shown, and proves it with the tenant id', async () => {
  const relay = await ClientRelay.start()
  const client = await openClient(relay)
  await client.keyring('notes')
  const { body } = relay.publication!
  const other = await signHead({ ...body, log: { root: random(32), size: 1 } }, relay.world.deriver)
  relay.twist = (delivery) => ({ ...delivery, head: other })
  await relay.publish()
  await expect(client.refresh()).rejects.toMatchObject({ code: 'ERR_FORK' })
  tenant = relay.world.tenant
  writeFileSync(file, client.evidence[0]!.file)

  const shown = await spawnKeyferryIn(directory)('inspect', file)
  expect([shown.status, shown.stdout]).toEqual([0, expect.stringMatching(/^evidence\n/) as string])
  expect(shown.stdout).toContain(tenant)
  const proven = await keyferry('inspect', file, '--tenant', tenant)
  expect([proven.status, proven.stdout]).toEqual([
    0,
    expect.stringMatching(/^proven: fork, two different heads have version 1\.\d+\n/) as string,
  ])
  const json = await keyferry('inspect', file, '--tenant', tenant, '--json')
  expect(JSON.parse(json.stdout)).toMatchObject({
    kind: 'fork',
    signers: [expect.any(String)],
    trust: { number: 1 },
  })
  expect(proven.stdout).toContain('under trust document 1, ')
})

it('explains an entry that is missing in the log, and proves it with the tenant id', async () => {
  const world = await makeWorld()
  const { heads } = await history(world)
  const last = heads.at(-1)!
  const release = decodeRelease(last.releases[0]!)
  const bytes = encodeJson({ ...release, generation: 99 })
  const thief = await showing(world, last.body, last.log, [{ keyring: release.keyring, bytes }])
  const body = evidenceOf(world, releaseOf(thief, 0), entryOf(last, release.log))
  const missing = join(directory, 'missing.evidence')
  writeFileSync(missing, encodeLogEvidence(body))
  const shown = await keyferry('inspect', missing)
  expect([shown.status, shown.stdout]).toEqual([
    0,
    expect.stringMatching(/^evidence about the log\n/) as string,
  ])
  expect(shown.stdout).toContain('"generation":99')
  const proven = await keyferry('inspect', missing, '--tenant', world.tenant)
  expect([proven.status, proven.stdout]).toEqual([
    0,
    expect.stringMatching(
      /^proven: unlogged, heads 1\.\d+ and 1\.\d+: entry \d+ is not /,
    ) as string,
  ])
  const entry = join(directory, 'entry.json')
  writeFileSync(entry, last.log[0]!)
  const read = await keyferry('inspect', entry)
  expect([read.status, read.stdout]).toEqual([
    0,
    expect.stringMatching(/^log entry: released\n/) as string,
  ])
})

it('proves nothing of another tenant, and is none where a byte is changed', async () => {
  const other = await keyferry('inspect', file, '--tenant', base32(random(32)))
  expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('ERR_TENANT') as string])
  const junk = await keyferry('inspect', join(directory, 'note'), '--tenant', tenant)
  expect([junk.status, junk.stderr]).toEqual([1, expect.stringContaining('ERR_') as string])
})
