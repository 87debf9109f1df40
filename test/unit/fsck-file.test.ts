/** What a relay's operator exported, looked through by the tenant: as of its own time, under the tenant's own trust documents. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkExport } from '../../deriver/fsck-file.ts'
import { readLines } from '../../deriver/lines.ts'
import { base64url } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { followTrust } from '../../shared/trust-following.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { toJson } from '../lib/calls.ts'
import { codeOf } from '../lib/deriver.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { DAY, makeWorld, renewTrust, seconds, type World } from '../lib/world.ts'

const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
const path = join(directory, 'file')
afterAll(() => rmSync(directory, { recursive: true }))

async function exported(world: World, trusts: readonly Envelope[] = world.trusts): Promise<void> {
  const { catalog, crls, head, objects } = await publish(world, [makeKeyring('one')])
  const first = toJson({ tenant: world.tenant, documents: { catalog, crls, head, trust: trusts } })
  const lines = objects.map((one) => `{"object":"${base64url(one)}"}\n`)
  writeFileSync(path, `${new TextDecoder().decode(first)}\n${lines.join('')}`)
}

async function trustsOf(world: World): Promise<TrustDocument[]> {
  const all: TrustDocument[] = []
  for (const one of world.trusts)
    all.push(await followTrust(world.tenant, all.at(-1) ?? null, [one], null, null))
  return all
}

describe('an export', () => {
  it('is right as of its head, however long that is over', async () => {
    const world = await makeWorld({ now: seconds() - 200 * DAY })
    await exported(world)
    const report = await checkExport(path, await trustsOf(world))
    expect(report).toMatchObject({ head: { version: 1 }, problems: [], requests: 0, relay: path })
    expect(report.objects).toBeGreaterThan(4)
  })

  it('may be of any trust document of the own ones, and of no other', async () => {
    const world = await makeWorld()
    const [genesis] = await trustsOf(world)
    await exported(world)
    await renewTrust(world)
    const both = await trustsOf(world)
    expect((await checkExport(path, both)).problems).toEqual([])
    await exported(world)
    expect((await checkExport(path, both)).problems).toEqual([])
    // A number above the own ones was never in force here; of the same number another one was not either.
    const above = await checkExport(path, [genesis!])
    expect(above.problems).toContainEqual(expect.stringContaining('ERR_ROLLBACK'))
    const other = await checkExport(path, [genesis!, { ...both[1]!, hash: genesis!.hash }])
    expect(other.problems).toContainEqual(expect.stringContaining('ERR_ROLLBACK'))
  })

  it('of another tenant, or of none, is refused', async () => {
    const world = await makeWorld()
    await exported(world)
    const other = await trustsOf(await makeWorld())
    expect(await codeOf(checkExport(path, other))).toBe('ERR_TENANT')
    writeFileSync(path, '')
    expect(await codeOf(checkExport(path, other))).toBe('ERR_MALFORMED')
  })
})

describe('lines of a file', () => {
  const read = async (text: string, most: number): Promise<string[] | string> => {
    writeFileSync(path, text)
    const lines: string[] = []
    const code = await codeOf(
      (async () => {
        for (const line of readLines(path, most)) lines.push(new TextDecoder().decode(line))
        await Promise.resolve()
      })(),
    )
    return code === 'none' ? lines : code
  }

  it('are read whole, however they lie over what is read at once', async () => {
    const lines = [1, 65_535, 65_536, 0, 200_000, 3].map((length) => 'x'.repeat(length))
    expect(await read(`${lines.join('\n')}\n`, 200_000)).toEqual(lines)
    expect(await read('', 10)).toEqual([])
  })

  it('have an end, and no more bytes than agreed', async () => {
    expect(await read('ab', 10)).toBe('ERR_MALFORMED')
    expect(await read('0123456789\n', 10)).toEqual(['0123456789'])
    // In one piece with its end, and without one in sight.
    expect(await read('0123456789a\n', 10)).toBe('ERR_TOO_LARGE')
    expect(await read('x'.repeat(70_000), 10)).toBe('ERR_TOO_LARGE')
    expect(await read('x'.repeat(70_000), 66_000)).toBe('ERR_TOO_LARGE')
  })
})
