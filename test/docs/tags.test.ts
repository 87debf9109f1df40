// docs/PROTOCOL.md, the code and the tests name the same checks and the same errors.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../shared/error-codes.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const protocol = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8')

/** Files below folders of the repository whose names end so. */
function files(folders: readonly string[], ending: string): string[] {
  return folders.flatMap((folder) => {
    const path = join(root, folder)
    if (!existsSync(path)) return []
    return readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((name) => !/node_modules|dist|\.wrangler/.test(relative(root, name)))
  })
}

/** What a pattern's first group finds in files, and in which of them. */
function collect(names: readonly string[], pattern: RegExp): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of names) {
    for (const [, list] of readFileSync(name, 'utf8').matchAll(pattern)) {
      for (const [, tag] of list!.matchAll(/\[([a-z]+-\d+)\]/g)) {
        found.set(tag!, [...(found.get(tag!) ?? []), relative(root, name)])
      }
    }
  }
  return found
}

const TAG = String.raw`\[[a-z]+-\d+\]`
/** `1. `[open-3]` …` at the beginning of a step. */
const defined = [...protocol.matchAll(/^\d+\. `\[([a-z]+-\d+)\]`/gm)].map(([, tag]) => tag!)
/** `// PROTOCOL [open-3]`, several after one another. */
const coded = collect(
  files(['shared', 'deriver', 'worker', 'web'], '.ts'),
  new RegExp(String.raw`\/[/*]+ PROTOCOL ((?:${TAG}(?:, )?)+)`, 'g'),
)
/** A title, also one in the table of an `it.each` or of a file of cases, that begins with tags. */
const tested = collect(
  [...files(['test'], '.test.ts'), ...files(['test'], '-cases.ts')].filter(
    (name) => name !== fileURLToPath(import.meta.url),
  ),
  new RegExp(String.raw`['"\x60]((?:${TAG} ?)+)`, 'g'),
)

/** A comment of a vector that begins with a tag. */
const inVectors = collect(
  files(['docs/vectors'], '.json'),
  new RegExp(String.raw`"comment": "(${TAG})`, 'g'),
)
/** Steps of which there is no vector, since more than the bytes of a document decides them. */
const withoutVector: Record<string, string> = {
  'open-21': 'the order of a write and a use',
  'request-3': 'what the deriver answered before',
  'request-4': 'the policy of the deriver',
  'relay-1': 'the routes of a relay',
  'relay-4': 'whom a relay admits, and how its answers look',
  'relay-5': 'what a relay stores',
  'relay-6': 'what a relay stores',
  'relay-7': 'what a relay stores',
  'relay-8': 'what a relay stores',
  'relay-9': 'what a relay stores',
  'relay-10': 'a transaction of a relay',
  'relay-11': 'what a relay stores',
  'log-2': 'a transaction of the deriver',
  'relay-12': 'which tickets a relay has seen',
  'relay-13': 'which calls wait at a relay',
  'deriver-1': 'a transaction of the deriver',
  'deriver-2': 'what the deriver never asks for',
  'deriver-3': 'which versions the deriver has used',
  'deriver-4': 'which members the deriver has',
  'deriver-5': 'which members the deriver has',
  'deriver-6': 'which numbers the deriver gave out',
  'deriver-7': 'what the store of the deriver holds',
  'deriver-8': 'which versions the deriver bundles when',
  'deriver-9': 'which keys the deriver has',
  'deriver-10': 'which salts the deriver has',
  'deriver-11': 'the order of what the deriver does',
  'restore-1': 'what a restored deriver does not do',
  'restore-2': 'what a restored deriver has asked',
  'restore-3': 'which lists a restored deriver was given',
  'deriver-12': 'which deriver writes to a store',
  'export-1': 'a document that no client and no relay takes',
  'package-5': 'what a client has stored',
  'client-1': 'what a client has accepted, and who shows it a list',
  'client-2': 'what a client has stored',
  'enrol-2': 'the headers of a call',
  'enrol-3': 'the sessions of an app',
  'enrol-4': 'a token whose form is the own affair of a backend',
  'enrol-5': 'a nonce whose form is the own affair of a backend',
  'enrol-6': 'which nonces a backend has seen',
  'enrol-10': 'what a CA issues',
}

const missing = (wanted: Iterable<string>, there: ReadonlySet<string>): string[] =>
  [...wanted].filter((tag) => !there.has(tag)).toSorted()

describe('checks', () => {
  it('each tag is defined once, and each mention of one is defined', () => {
    expect(new Set(defined).size).toBe(defined.length)
    expect(defined.length).toBeGreaterThan(80)
    const mentioned = [...protocol.matchAll(/\[([a-z]+-\d+)\]/g)].map(([, tag]) => tag!)
    expect(missing(new Set(mentioned), new Set(defined))).toEqual([])
  })

  it('each check of the protocol stands in the code, and no other', () => {
    expect({
      'in docs/PROTOCOL.md, not in the code': missing(defined, new Set(coded.keys())),
      'in the code, not in docs/PROTOCOL.md': missing(coded.keys(), new Set(defined)),
    }).toEqual({
      'in docs/PROTOCOL.md, not in the code': [],
      'in the code, not in docs/PROTOCOL.md': [],
    })
  })

  it('each check of the protocol begins the title of a test, and no other', () => {
    expect({
      'in docs/PROTOCOL.md, not in a test': missing(defined, new Set(tested.keys())),
      'in a test, not in docs/PROTOCOL.md': missing(tested.keys(), new Set(defined)),
    }).toEqual({
      'in docs/PROTOCOL.md, not in a test': [],
      'in a test, not in docs/PROTOCOL.md': [],
    })
  })

  it('each check of the protocol has a vector, or a reason for none, and not both', () => {
    const named = new Set([...inVectors.keys(), ...Object.keys(withoutVector)])
    expect({
      'in docs/PROTOCOL.md, without vector and reason': missing(defined, named),
      'in a vector or with a reason, not in docs/PROTOCOL.md': missing(named, new Set(defined)),
      'with a reason for none, but in a vector': Object.keys(withoutVector).filter((tag) =>
        inVectors.has(tag),
      ),
    }).toEqual({
      'in docs/PROTOCOL.md, without vector and reason': [],
      'in a vector or with a reason, not in docs/PROTOCOL.md': [],
      'with a reason for none, but in a vector': [],
    })
  })
})

describe('errors', () => {
  it('each code that docs/PROTOCOL.md names exists', () => {
    const named = new Set([...protocol.matchAll(/ERR_[A-Z_]+[A-Z]/g)].map(([code]) => code))
    expect([...named].filter((code) => !(code in ERROR_CODES))).toEqual([])
  })

  it('the table at its end is the list of shared/error-codes.ts', () => {
    const table = protocol.slice(protocol.indexOf('\n## Errors\n'))
    const rows = [...table.matchAll(/^\| `(\w+)` +\| (.+?) +\|$/gm)].map(([, ...row]) => row)
    expect(Object.fromEntries(rows)).toEqual(ERROR_CODES)
    expect(rows.length).toBe(Object.keys(ERROR_CODES).length)
  })
})
