// docs/mobile.md names every check of docs/PROTOCOL.md, and none that is not there.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const page = readFileSync(join(root, 'docs/mobile.md'), 'utf8')
const protocol = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8')
const defined = [...protocol.matchAll(/^\d+\. `\[([a-z]+-\d+)\]`/gm)].map(([, tag]) => tag!)

/** `[open-1]` alone, and all of `[open-1]` to `[open-14]`. */
function named(text: string): string[] {
  const found = text.matchAll(/`\[([a-z]+)-(\d+)\]`(?: (to|and) `\[\1-(\d+)\]`)?/g)
  return [...found].flatMap(([, group, first, word, last]) => {
    const [from, until] = [Number(first), Number(last ?? first)]
    const all = Array.from({ length: until - from + 1 }, (_, i) => `${group}-${from + i}`)
    return word === 'and' ? [`${group}-${from}`, `${group}-${until}`] : all
  })
}

it('every check has its place, and each that is named exists', () => {
  const tags = new Set(named(page))
  expect(defined.filter((tag) => !tags.has(tag))).toEqual([])
  expect([...tags].filter((tag) => !defined.includes(tag))).toEqual([])
})

it('a check that is taken out of the page is missed', () => {
  const without = page.replaceAll('`[refusal-1]` to `[refusal-3]`', '`[refusal-1]`')
  expect(without).not.toBe(page)
  expect(named(without)).not.toContain('refusal-2')
  expect(named('`[open-1]` to `[open-3]`, `[dec-1]` and `[dec-4]`')).toEqual(['open-1', 'open-2', 'open-3', 'dec-1', 'dec-4']) // prettier-ignore
})

it('it says that nothing of it was run on a device, and leads to what was', () => {
  expect(page).toContain('**None of this was\nrun on a device or an emulator here**')
  for (const link of ['vectors', 'openapi.json', '../test/interop/client.py']) {
    expect(page).toContain(`](${link})`)
    expect(existsSync(join(root, 'docs', link))).toBe(true)
  }
})

it('it names vector files that there are', () => {
  const files = [...page.matchAll(/`(\w[\w-]*\.json)`/g)].map(([, name]) => name!)
  expect(files.length).toBeGreaterThan(2)
  expect(files.filter((name) => !existsSync(join(root, 'docs/vectors', name)))).toEqual([])
})
