/** `ca check` agrees with path validation, on the table of cases that validation itself is tested with. */
import { describe, expect, it } from 'vitest'
import { checkCertificate, fits, type Requirement } from '../../deriver/check-certificate.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { derSequence } from '../../shared/der.ts'
import { ext, makeWorld, type Difference } from '../lib/odd-certificates.ts'
import { acceptedPaths, refusedPaths } from '../lib/path-cases.ts'

const world = await makeWorld('ES256')
const VERDICT = 'path validation, as every party does it'

async function check(difference: Difference, withCrls: boolean): Promise<Requirement[]> {
  const { certificates, anchors, crls, eku, now } = await world.make(difference)
  const lists = withCrls ? (crls as Bytes[]) : null
  return checkCertificate({ certificates, anchors, crls: lists, ekus: eku, sans: null, now })
}

const wrongOf = (lines: readonly Requirement[]): Requirement[] =>
  lines.filter(({ ok }) => ok === false)

/** Cases that have a certificate to check; those of lists apart. */
const refused = refusedPaths(world).filter(([, , { input }]) => input?.certificates === undefined)
const isOfLists = ([title]: (typeof refused)[number]): boolean =>
  title.startsWith('[path-8]') && !title.includes('cRLSign')

describe('what validation refuses does not fit', () => {
  it.each(refused)('%s', async (_title, code, difference) => {
    const lines = await check(difference, true)
    expect(fits(lines)).toBe(false)
    const last = lines.at(-1)!
    // What cannot be read as a certificate at all has no verdict.
    if (last.requirement.startsWith('encoding')) return
    expect(last).toMatchObject({
      requirement: VERDICT,
      ok: false,
      why: expect.stringContaining(`(${code})`) as string,
    })
    // It sends nobody to lines that say nothing.
    expect(last.change).not.toBe('')
    if (last.change === 'see the lines above')
      expect(wrongOf(lines).length).toBeGreaterThanOrEqual(2)
  })

  it.each(refused.filter((one) => !isOfLists(one)))(
    'nor without lists: %s',
    async (_title, _code, difference) => {
      expect(fits(await check(difference, false))).toBe(false)
    },
  )
})

describe('what validation refuses for the lists alone fits where no lists are given', () => {
  it.each(refused.filter(isOfLists))('%s', async (_title, _code, difference) => {
    expect(wrongOf(await check(difference, false))).toEqual([])
  })
})

it('an anchor with an extension that is not understood is named', async () => {
  const odd = ext('1.2.3', derSequence(), true)
  const wrong = wrongOf(await check({ root: { extensions: { odd } } }, true))
  expect(wrong[0]?.requirement).toMatch(/^CA "Odd root", extensions: none critical/)
})

describe('what validation accepts fits, with every line', () => {
  it.each(acceptedPaths(world))('%s', async (_title, difference) => {
    expect(wrongOf(await check(difference, true))).toEqual([])
    expect(wrongOf(await check(difference, false))).toEqual([])
  })
})
