// Signed messages, changed in any bit, cut off anywhere, and of any length: inside, as a member could, and outside.
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { concat, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { decryptMessage, parseMessageHeader } from '../../shared/message.ts'
import {
  openClaim,
  signMessage,
  type Claim,
  type MessageStatement,
  type SenderContext,
} from '../../shared/sender.ts'
import { createFrameReader, encodeClaim, openFrame } from '../../shared/signed-message.ts'
import { outcome } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import {
  CONTEXT,
  makeFrame,
  makeSigned,
  messageKey,
  messageStatement,
  senderContext,
} from '../lib/fixtures-senders.ts'
import { makeIdentity, makeTenant, NOW, type Identity, type Tenant } from '../lib/fixtures.ts'

// Thousands of cases each.
vi.setConfig({ testTimeout: 120_000 })

const SECRET = seeded('secret')
let tenant: Tenant
let alice: Identity
let context: SenderContext
let statement: Omit<MessageStatement, 'content'>

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeIdentity(tenant.clients, 'client', 'alice')
  context = await senderContext(tenant)
  const { content: _, ...rest } = messageStatement(tenant)
  statement = rest
})

const open = (claim: Claim) => openClaim(claim, statement, context)

function* flips(bytes: Bytes): Generator<Bytes> {
  for (let i = 0; i < bytes.length; i++)
    for (let bit = 0; bit < 8; bit++) yield bytes.with(i, bytes[i]! ^ (1 << bit))
}

async function readInParts(frame: Bytes): Promise<void> {
  const reader = createFrameReader(open)
  await reader.take(frame)
  await reader.end()
}

describe('what a member can put into a signed message', () => {
  it('changed in any bit is refused by name, whole and as a stream', async () => {
    const frame = await makeFrame(tenant, alice)
    const codes = new Set<string>()
    for (const changed of flips(frame)) {
      const code = await outcome(openFrame(changed, open))
      expect(code).toMatch(/^ERR_/)
      expect(await outcome(readInParts(changed))).toBe(code)
      codes.add(code)
    }
    expect([...codes]).toEqual(
      expect.arrayContaining(['ERR_SIGNATURE', 'ERR_MALFORMED', 'ERR_FUTURE', 'ERR_PATH_INVALID']),
    )
  })

  it('cut off anywhere, or with bytes added, is refused by name', async () => {
    const frame = await makeFrame(tenant, alice)
    for (let end = 0; end < frame.length; end++) {
      const code = await outcome(openFrame(frame.slice(0, end), open))
      expect(code).toMatch(/^ERR_(MALFORMED|SIGNATURE)$/)
      expect(await outcome(readInParts(frame.slice(0, end)))).toBe(code)
    }
    for (const longer of [concat(frame, Uint8Array.of(0)), concat(Uint8Array.of(0), frame)])
      expect(await outcome(openFrame(longer, open))).toMatch(/^ERR_(MALFORMED|SIGNATURE)$/)
  })

  it('is read as it was signed, whatever its length and however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Uint8Array.from(bytes)),
        fc.integer({ min: 1, max: 400 }),
        async (data, size) => {
          const claim = { certificates: alice.certificates, signedAt: NOW }
          const head = encodeClaim(claim)
          const content = sha256(data)
          const signature = await signMessage({ ...statement, content }, claim, alice.key)
          const reader = createFrameReader(open)
          const parts = [await reader.take(head)]
          const rest = concat(data, signature)
          for (let at = 0; at < rest.length; at += size)
            parts.push(await reader.take(rest.slice(at, at + size)))
          expect(await reader.end()).toMatchObject({ uri: alice.uri })
          expect(concat(...parts)).toEqual(data)
        },
      ),
      { numRuns: 60 },
    )
  })
})

it('a signed message, changed in any bit or cut off anywhere, opens nothing', async () => {
  const key = await messageKey(tenant, SECRET)
  const message = await makeSigned(tenant, SECRET, await makeFrame(tenant, alice))
  const read = (bytes: Bytes) =>
    outcome(async () => {
      parseMessageHeader(bytes)
      await openFrame(await decryptMessage(key, bytes, CONTEXT), open)
    })
  expect(await read(message)).toBe('ok')
  // What stands in front, and a sample of the rest: each byte of a chunk is under the same tag.
  for (const changed of flips(message.slice(0, 120)))
    expect(await read(concat(changed, message.subarray(120)))).toMatch(/^ERR_(MALFORMED|OPEN)$/)
  for (let end = 0; end < message.length; end++)
    expect(await read(message.slice(0, end))).toMatch(/^ERR_(MALFORMED|OPEN)$/)
})
