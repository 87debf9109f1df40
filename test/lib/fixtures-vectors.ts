/** Vectors of encodings, labels, trees and fixed-layout formats, from fixed seeds. What they expect is written here, not computed by what they test. */
import { createHmac } from 'node:crypto'
import { MEMBER_LEAF } from '../../shared/bundle.ts'
import { base32, base64url, concat, hex, u32, u64, utf8, type Bytes } from '../../shared/bytes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import { KEYRING_LEAF } from '../../shared/manifest.ts'
import { buildTree, proveLeaf, treeRoot } from '../../shared/tree.ts'
import { seeded } from './fixtures-keys.ts'

/** One vector: `expect` is `ok` or an error code, `output` what must come out. */
export interface Vector {
  comment: string
  input: unknown
  expect: 'ok' | ErrorCode
  output?: unknown
}

export function vector(
  comment: string,
  input: unknown,
  expect: 'ok' | ErrorCode,
  output?: unknown,
): Vector {
  return output === undefined ? { comment, input, expect } : { comment, input, expect, output }
}

/** Bytes become hexadecimal, whatever they are in. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}

export type Json = { [name: string]: Json } | Json[] | string | number | null

/** What RFC 7396 needs to make `to` of `from`. */
export function mergePatch(from: Json, to: Json): Json {
  const isObject = (value: Json | undefined): value is { [name: string]: Json } =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject(from) || !isObject(to)) return to
  const out: { [name: string]: Json } = {}
  for (const name of Object.keys(to)) {
    if (JSON.stringify(from[name]) !== JSON.stringify(to[name]))
      out[name] = mergePatch(from[name]!, to[name]!)
  }
  return out
}

export function encodingVectors(): object {
  const words = ['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map(utf8)
  const bytes = [...words, Uint8Array.of(0xfb, 0xff), seeded('a hash')]
  const good = (form: string, encode: (b: Bytes) => string) =>
    bytes.map((b) => vector(`${b.length} bytes`, { form, text: encode(b) }, 'ok', hex(b)))
  const bad = (form: string, cases: [string, string][]) =>
    cases.map(([comment, text]) => vector(comment, { form, text }, 'ERR_NOT_CANONICAL'))
  return {
    cases: [
      ...good('base64url', base64url),
      ...bad('base64url', [
        ['unused bits that are not zero', 'AB'],
        ['unused bits that are not zero', 'AAB'],
        ['padding', 'Zg=='],
        ['an impossible length', 'A'],
        ['the other alphabet', '+/8'],
        ['white space', 'Zm9v\n'],
      ]),
      ...good('base32', base32),
      ...bad('base32', [
        ['unused bits that are not zero', 'mz'],
        ['padding', 'my======'],
        ['upper case', 'MY'],
        ['an impossible length', 'a'],
        ['another character', 'm1'],
      ]),
    ],
  }
}

export function jsonVectors(): object {
  const good: [string, string][] = [
    ['an object', '{"a":[1,"x"],"b":{}}'],
    ['the largest integer', '9007199254740991'],
    [
      'names by UTF-16 units, not by code points',
      '{"\\r":1,"1":2,"ö":3,"€":4,"\u{1f600}":5,"\ufb33":6}',
    ],
    ['a control character', '"\\u000f"'],
    ['short escapes', '"\\b\\t\\n\\f\\r\\"\\\\"'],
    ['U+2028 as it is', '"\u2028"'],
    ['__proto__ is a name', '{"__proto__":1}'],
  ]
  const bad: [string, string, ErrorCode][] = [
    ['no JSON', '{', 'ERR_MALFORMED'],
    ['a byte order mark', '\ufeff{}', 'ERR_MALFORMED'],
    ['a repeated name', '{"a":1,"a":1}', 'ERR_NOT_CANONICAL'],
    ['a repeated name, escaped', '{"a":1,"\\u0061":1}', 'ERR_NOT_CANONICAL'],
    ['names out of order', '{"b":1,"a":1}', 'ERR_NOT_CANONICAL'],
    ['names by code points', '{"\ufb33":1,"\u{1f600}":2}', 'ERR_NOT_CANONICAL'],
    ['white space', '{"a": 1}', 'ERR_NOT_CANONICAL'],
    ['a line end', '{}\n', 'ERR_NOT_CANONICAL'],
    ['an escape that need not be', '"\\u0041"', 'ERR_NOT_CANONICAL'],
    ['a lone surrogate', '"\\ud800"', 'ERR_NOT_CANONICAL'],
    ['an exponent', '1e2', 'ERR_NOT_CANONICAL'],
    ['minus zero', '-0', 'ERR_NOT_CANONICAL'],
    ['a negative number', '-1', 'ERR_NOT_CANONICAL'],
    ['2^53 + 1', '9007199254740993', 'ERR_NOT_CANONICAL'],
    ['null', '{"a":null}', 'ERR_NOT_CANONICAL'],
  ]
  const long = (length: number) => hex(utf8(`"${'a'.repeat(length - 2)}"`))
  return {
    comment: 'The limit is 1,000 bytes.',
    cases: [
      ...good.map(([comment, text]) => vector(comment, hex(utf8(text)), 'ok')),
      vector('1,000 bytes', long(1_000), 'ok'),
      vector('[dec-1] 1,001 bytes', long(1_001), 'ERR_TOO_LARGE'),
      ...bad.map(([comment, text, code]) => vector(comment, hex(utf8(text)), code)),
      vector('invalid UTF-8', '22c322', 'ERR_MALFORMED'),
    ],
  }
}

function hmac(key: Bytes, input: Bytes): Bytes {
  return new Uint8Array(createHmac('sha256', key).update(input).digest())
}

/** K of docs/PROTOCOL.md, written down once more. */
function derive(key: Bytes, label: string, fields: Bytes[]): Bytes {
  const info = concat(utf8(`keyferry/v1/${label}\0`), ...fields.map(lengthPrefixed))
  return hmac(key, concat(info, Uint8Array.of(1)))
}

/** The fields of the n-th accumulated derivation: everything from `H("keyferry accumulated" || u32 n)`. */
function accumulatedFields(n: number) {
  const x = sha256(concat(utf8('keyferry accumulated'), u32(n)))
  const part = (i: number) => sha256(concat(x, Uint8Array.of(i)))
  const three = part(3)
  const view = new DataView(three.buffer)
  const context = [
    part(1),
    part(2).slice(0, 16),
    u64(view.getUint32(0)),
    u64(view.getUint32(4)),
    u32(view.getUint32(8)),
  ]
  const salt = x[0]! % 2 === 0 ? new Uint8Array() : part(4)
  return { key: x, context, nonce: three.slice(16), salt }
}

export function derivationVectors(): object {
  const [tenant, keyring, salt] = [seeded('tenant'), seeded('keyring', 16), seeded('salt')]
  const [nonce, hash] = [seeded('nonce', 16), seeded('package hash')]
  const version = [tenant, keyring, u64(1), u64(2 ** 33 + 7), u32(1)]
  const labels: [string, Bytes[]][] = [
    ['channel', [tenant, hash, salt]],
    ['kek', [tenant, keyring, u64(1), u64(3), salt]],
    ['version', [...version, nonce, new Uint8Array()]],
    ['version', [...version, nonce, salt]],
    ['commit', version],
    ['id', []],
    ['root', [tenant]],
    ['pending', [tenant, hash]],
  ]
  const key = seeded('master secret')
  let digest: Bytes = new Uint8Array(32)
  const count = 10_000
  for (let n = 0; n < count; n++) {
    const { key: x, context, nonce: own, salt: secret } = accumulatedFields(n)
    const made = derive(x, 'version', [...context, own, secret])
    digest = sha256(concat(digest, made, derive(made, 'commit', context)))
  }
  return {
    cases: labels.map(([label, fields]) =>
      vector(
        label,
        { key: hex(key), label, fields: fields.map(hex) },
        'ok',
        hex(derive(key, label, fields)),
      ),
    ),
    accumulated: {
      comment:
        'x = H("keyferry accumulated" || u32 n), p(i) = H(x || byte i); tenant p(1), keyring p(2)[0:16], incarnation, version, algorithm u32s of p(3)[0:12], nonce p(3)[16:32], secret salt empty if x[0] is even, else p(4); secret = K(x, "version", …), key id = K(secret, "commit", …); digest = H(digest || secret || key id), from 32 zeros',
      count,
      output: hex(digest),
    },
  }
}

export function treeVectors(): object {
  const leaf = (i: number) => seeded(`leaf ${i}`, KEYRING_LEAF)
  const sizes = [0, 1, 2, 3, 5, 8, 255, 256, 257, 513, 1_000]
  const trees = sizes.map((size) => {
    const leaves = Array.from({ length: size }, (_, i) => leaf(i))
    const { head, pages } = buildTree(leaves, KEYRING_LEAF)
    const output = {
      root: hex(head.root),
      index: hex(head.index),
      pages: pages.map(sha256).map(hex),
    }
    return vector(`${size} leaves`, { size }, 'ok', output)
  })
  const leaves = Array.from({ length: 7 }, (_, i) => leaf(i))
  const root = hex(treeRoot(leaves))
  const proofs = leaves.map((bytes, i) => {
    const { index, path } = proveLeaf(leaves, i)
    return { leaf: hex(bytes), index, path: path.map(hex), size: 7, root }
  })
  const four = proofs[4]!
  const bad = (comment: string, edit: object) => vector(comment, { ...four, ...edit }, 'ERR_HASH')
  const small = buildTree(leaves.slice(0, 3), KEYRING_LEAF)
  const page = small.pages[0]!
  return {
    comment:
      'leaf i is the first 48 bytes of H("keyferry test leaf " || decimal(i) || u32 0) || H("keyferry test leaf " || decimal(i) || u32 1)',
    trees,
    proofs: [
      ...proofs.map((input) => vector(`leaf ${input.index} of 7`, input, 'ok')),
      bad('[tree-1] another index', { index: 5 }),
      bad('[tree-1] an index beyond the size', { index: 7 }),
      bad('[tree-1] another size', { size: 5 }),
      bad('[tree-1] a path that is too short', { path: four.path.slice(0, -1) }),
      bad('[tree-1] a path that is too long', { path: [...four.path, root] }),
      bad('[tree-1] a path in the other order', { path: four.path.toReversed() }),
      bad('[tree-1] another leaf', { leaf: proofs[3]!.leaf }),
      bad('[tree-1] another root', { root: hex(seeded('root')) }),
    ],
    objects: [
      vector(
        'a page and its index',
        { pages: [hex(page)], index: hex(small.index) },
        'ok',
        plain(small.head),
      ),
      vector(
        '[tree-2] a node that does not fit',
        { pages: [hex(page.with(-1 + page.length, 0))], index: hex(small.index) },
        'ERR_MALFORMED',
      ),
      vector(
        '[tree-2] a page twice',
        { pages: [hex(page), hex(page)], index: hex(small.index) },
        'ERR_MALFORMED',
      ),
      vector(
        '[dec-4] a byte too few',
        { pages: [hex(page.slice(0, -1))], index: hex(small.index) },
        'ERR_MALFORMED',
      ),
      vector(
        '[dec-4] leaves of another length',
        { pages: [hex(page)], index: hex(buildTree([], MEMBER_LEAF).index) },
        'ERR_MALFORMED',
      ),
    ],
  }
}
