// Derivation labels, against HKDF-Expand of another implementation, and their encodings against one another.
import { expand } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { expect, it } from 'vitest'
import { concat, equal, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import {
  channelIdInput,
  channelInput,
  importInfo,
  commitInput,
  kekInput,
  labelInfo,
  lengthPrefixed,
  messageInfo,
  pendingInput,
  rootInput,
  versionInput,
} from '../../shared/kdf.ts'
import { seeded } from '../lib/fixtures-keys.ts'

const tenant = seeded('tenant')
const keyring = seeded('keyring', 16)
const hash = seeded('hash')
const salt = seeded('salt')
const nonce = seeded('nonce', 16)
const version = { tenant, keyring, incarnation: 1, version: 2, algorithm: 1 }
const none = new Uint8Array()

/** Every label with its fields, and with each one of them changed. */
const inputs: [string, Bytes[]][] = [
  [
    'channel',
    [
      channelInput(tenant, hash, salt),
      channelInput(hash, hash, salt),
      channelInput(tenant, tenant, salt),
      channelInput(tenant, hash, hash),
    ],
  ],
  [
    'kek',
    [
      kekInput(tenant, keyring, 1, 2, salt),
      kekInput(hash, keyring, 1, 2, salt),
      kekInput(tenant, nonce, 1, 2, salt),
      kekInput(tenant, keyring, 2, 2, salt),
      kekInput(tenant, keyring, 1, 1, salt),
      kekInput(tenant, keyring, 2, 1, salt),
      kekInput(tenant, keyring, 1, 2, hash),
    ],
  ],
  [
    'version',
    [
      versionInput(version, nonce, none),
      versionInput({ ...version, tenant: hash }, nonce, none),
      versionInput({ ...version, keyring: nonce }, nonce, none),
      versionInput({ ...version, incarnation: 2 }, nonce, none),
      versionInput({ ...version, version: 1 }, nonce, none),
      versionInput({ ...version, incarnation: 2, version: 1 }, nonce, none),
      versionInput({ ...version, algorithm: 2 }, nonce, none),
      versionInput(version, keyring, none),
      versionInput(version, nonce, salt),
      versionInput(version, nonce, hash),
    ],
  ],
  [
    'commit',
    [
      commitInput(version),
      commitInput({ ...version, tenant: hash }),
      commitInput({ ...version, keyring: nonce }),
      commitInput({ ...version, incarnation: 2 }),
      commitInput({ ...version, version: 1 }),
      commitInput({ ...version, algorithm: 2 }),
    ],
  ],
  ['id', [channelIdInput()]],
  ['root', [rootInput(tenant), rootInput(hash)]],
  ['pending', [pendingInput(tenant, hash), pendingInput(hash, hash), pendingInput(tenant, salt)]],
]

it.each(inputs)('the label %s is HKDF-Expand of its info', (label, [first]) => {
  const info = first!.slice(0, -1)
  expect(hex(info)).toContain(hex(utf8(`keyferry/v1/${label}\0`)))
  const key = seeded('master secret')
  expect(hex(hmac(sha256, key, first!))).toBe(hex(expand(sha256, key, info, 32)))
})

it('changing any one field of any label changes the result', () => {
  const all = inputs.flatMap(([, group]) => group).map((input) => hex(hmac(sha256, salt, input)))
  expect(new Set(all).size).toBe(all.length)
})

it('no encoding of a label is the prefix of another', () => {
  const all = inputs.flatMap(([, group]) => group)
  const messages = [messageInfo, importInfo].flatMap((info) => [
    info(tenant, keyring, hash),
    info(tenant, keyring, salt),
  ])
  for (const [i, a] of [...all, ...messages].entries()) {
    for (const [j, b] of [...all, ...messages].entries()) {
      if (i !== j) expect(equal(a, b.subarray(0, a.length))).toBe(false)
    }
  }
})

it('fields do not run into one another', () => {
  expect(labelInfo('x', utf8('ab'), utf8('c'))).not.toEqual(labelInfo('x', utf8('a'), utf8('bc')))
  expect(labelInfo('x', none)).not.toEqual(labelInfo('x'))
  expect(hex(lengthPrefixed(utf8('abc')))).toBe('0003616263')
  expect(() => lengthPrefixed(new Uint8Array(65_536))).toThrow(RangeError)
})

it('numbers are of 64 and 32 bits', () => {
  const info = hex(commitInput({ ...version, incarnation: 3, version: 2 ** 33, algorithm: 7 }))
  const tail = `0008${'03'.padStart(16, '0')}00080000000200000000000400000007`
  expect(info.endsWith(`${tail}01`)).toBe(true)
  expect(() => commitInput({ ...version, version: 2 ** 53 })).toThrow(RangeError)
})

it('the info of a message key is the label message', () => {
  const head = utf8('keyferry/v1/message\0')
  const fields = [tenant, keyring, hash].map(lengthPrefixed)
  expect(messageInfo(tenant, keyring, hash)).toEqual(concat(head, ...fields))
})
