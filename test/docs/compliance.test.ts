// docs/compliance.md: each row leads to what shows it, and no algorithm of the sources is left out of the inventory.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { REKEY } from '../../deriver/bound.ts'
import { ROOT } from '../../tools/package/build.ts'
import { PAGES } from '../lib/markdown.ts'

const page = PAGES.get('docs/compliance.md')!
/** The rows of all tables whose last column is "shown by". */
const rows = page
  .split(/\n\n/)
  .filter((part) => /^\|[^\n]*\| shown by +\|\n/.test(part))
  .flatMap((table) => table.trim().split('\n').slice(2))

it('every row says by what it is shown', () => {
  const last = rows.map((row) => row.split('|').at(-2)!.trim())
  expect(rows.length).toBeGreaterThan(40)
  expect(last.filter((cell) => cell !== 'the same' && !/\]\([^)]+\)/.test(cell))).toEqual([])
})

it('the inventory has every algorithm that the sources name', () => {
  const sources = ['shared', 'deriver', 'web', 'worker'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(join(ROOT, folder, path), 'utf8')),
  )
  const names = sources.flatMap((text) =>
    [
      ...text.matchAll(
        /'(AES-[A-Z]+|HKDF|HMAC|SHA-\d+|Ed25519|ECDSA|X25519|ECDH|ML-(?:KEM|DSA)-\d+|RSASSA-[\w-]+|PBKDF2|argon2id|scrypt)'/g,
      ),
    ].map(([, name]) => name!),
  )
  const inventory = page.slice(page.indexOf('\n## Inventory'), page.indexOf('\n## Where data are'))
  expect(new Set(names).size).toBeGreaterThan(12)
  expect([...new Set(names)].filter((name) => !inventory.includes(name))).toEqual([])
})

it('its numbers are those of the sources', () => {
  const source = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
  const [, memory] = /const MEMORY = ([\d_]+)/.exec(source('deriver/secret.ts'))!
  const [, passes] = /const PASSES = (\d+)/.exec(source('deriver/secret.ts'))!
  const [, lanes] = /const LANES = (\d+)/.exec(source('deriver/secret.ts'))!
  const mebibytes = Number(memory!.replaceAll('_', '')) / 1024
  expect(page).toContain(`argon2id (${mebibytes} MiB, ${passes} passes, ${lanes} lanes)`)
  expect(source('deriver/keyrings.ts')).toMatch(/cryptoperiod \?\? 90 \* DAY/)
  expect(source('deriver/keyrings.ts')).toMatch(/decryptPeriod \?\? 5 \* 365 \* DAY/)
  expect(page).toContain('90 days and 5 years unless said')
  const [, headLifetime] = /headLifetime \?\? ([\d_]+)/.exec(source('deriver/tenant.ts'))!
  const [, skew] = /skew \?\? (\d+)/.exec(source('deriver/tenant.ts'))!
  const direct = REKEY + Number(headLifetime!.replaceAll('_', '')) + Number(skew)
  expect(page).toContain(`${direct.toLocaleString('en')} seconds after \`keyferry client revoke\``)
  const revocation = PAGES.get('docs/revocation.md')!
  const [, jitter] = /JITTER = ([\d.]+)/.exec(source('deriver/bound.ts'))!
  const poll = 600 * Number(jitter)
  expect(revocation).toContain(`${direct} s after \`client revoke\`, and ${direct + poll} s after`)
  expect(revocation).toContain(`A source is asked every 600 seconds`)
})
