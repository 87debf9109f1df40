// Times and sizes that pages name are those of the sources: a constant that changes fails here until its pages say so.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../tools/package/build.ts'
import { PAGES } from '../lib/markdown.ts'

/** A page, what it says with # for the number, where the constant is, and how many of its units one of the page's has. */
type Said = [page: string, words: string, file: string, name: string, unit?: number]

const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400]
const SAID: Said[] = [
  [
    'console.md',
    '| a link              | # minutes',
    'deriver/console/access.ts',
    'LINK_TIME',
    MINUTE,
  ],
  ['console.md', '| # minutes without an action', 'deriver/console/access.ts', 'IDLE_TIME', MINUTE],
  ['console.md', 'and # hours at most', 'deriver/console/access.ts', 'SESSION_TIME', HOUR],
  ['console.md', 'at most # days', 'deriver/console/access.ts', 'MAX_TOKEN_TIME', DAY],
  ['deriver.md', 'after `--lease` (# s)', 'deriver/lease.ts', 'LEASE_TIME', 1_000],
  ['deriver.md', 'a line every # seconds', 'deriver/commands/progress.ts', 'LINE_PAUSE', 1_000],
  ['deriver.md', 'its mailbox every # seconds', 'deriver/turn.ts', 'MAILBOX_POLL', 1_000],
  ['deriver.md', '# derived keys in its memory', 'deriver/root.ts', 'MAX_KEPT'],
  ['enrolment.md', 'Certificates live # days', 'web/enrolment/handler.ts', 'LIFETIME', DAY],
  ['enrolment.md', 'at most # (`lifetime`)', 'web/enrolment/handler.ts', 'MAX_LIFETIME', DAY],
  ['enrolment.md', 'at most # seconds old', 'web/enrolment/continuity.ts', 'STEP_UP_AGE'],
  [
    'life-cycle.md',
    'at the latest: # days (`[package-5]`)',
    'shared/limits.ts',
    'MAX_PACKAGE_LIFETIME',
    DAY,
  ],
  ['life-cycle.md', 'when fewer than #', 'deriver/schedule.ts', 'FEW_VERSIONS'],
  ['offline.md', '(between # s', 'web/pace.ts', 'LEAST_IDLE', 1_000],
  ['offline.md', 'and # minutes)', 'web/pace.ts', 'LONGEST_IDLE', 60_000],
  ['offline.md', 'for more than # s.', 'web/store-indexeddb.ts', 'PATIENCE', 1_000],
  ['revocation.md', '| # s, while the relay answers', 'deriver/bound.ts', 'REKEY'],
  ['revocation.md', 'and after a failure every #.', 'deriver/crl-sources.ts', 'RETRY'],
  ['revocation.md', 'has at most # MiB', 'shared/limits.ts', 'MAX_CRL', 1_048_576],
  ['revocation.md', 'MiB and # seconds', 'deriver/crl-fetch.ts', 'DEADLINE', 1_000],
  [
    'revocation.md',
    '| trust document                     | at most # days',
    'shared/limits.ts',
    'MAX_AUTHORITY_LIFETIME',
    DAY,
  ],
  ['client.md', 'milliseconds, # by default', 'web/waiting.ts', 'TIMEOUT'],
  ['audit.md', 'the newest # heads', 'worker/heads.ts', 'MAX_HEADS'],
  ['backup.md', '(Argon2id, # MiB,', 'deriver/secret.ts', 'MEMORY', 1_024],
  ['backup.md', 'asks for more than # MiB', 'deriver/secret.ts', 'MOST_MEMORY', 1_024],
  ['backup.md', 'MiB or # passes is refused', 'deriver/secret.ts', 'MOST_PASSES'],
  ['backup.md', 'may be # s apart', 'deriver/restore.ts', 'CLOCKS_DIFFER'],
  ['OPERATIONS.md', 'or after # seconds without any', 'shared/limits.ts', 'MAX_WAIT'],
  ['OPERATIONS.md', '| `mailbox` | # ', 'worker/mailbox.ts', 'MAX_OPEN'],
  ['OPERATIONS.md', 'open requests; # of one certificate', 'worker/mailbox.ts', 'MAX_OPEN_EACH'],
  ['OPERATIONS.md', ', # waiting calls |', 'worker/waiters.ts', 'MAX_WAITING'],
  ['THREAT-MODEL.md', 'at most # trust documents', 'shared/limits.ts', 'MAX_TRUST_STEPS'],
  ['THREAT-MODEL.md', 'a step of at most #', 'shared/limits.ts', 'MAX_PACKAGE_STEP'],
]

/** The number that a source gives a constant, of numbers and products. */
function constant(file: string, name: string): number {
  const source = readFileSync(join(ROOT, file), 'utf8')
  const [, text] = new RegExp(`const ${name} = ([\\w *]+)$`, 'm').exec(source) ?? []
  if (text === undefined) throw new Error(`${file} has no constant ${name}`)
  const factors = text.split(' * ').map((one) => one.replace(/^DAY$/, '86400').replaceAll('_', ''))
  return factors.reduce(
    (product, factor) => product * (/\d/.test(factor) ? Number(factor) : constant(file, factor)),
    1,
  )
}

it.each(SAID)('%s: %s', (page, words, file, name, unit = 1) => {
  const value = constant(file, name) / unit
  expect(PAGES.get(`docs/${page}`)).toContain(words.replace('#', value.toLocaleString('en')))
})
