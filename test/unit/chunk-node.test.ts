// Chunks by Node's own ciphers are those of WebCrypto, and nothing else has them.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CHUNK_LENGTH, deriveChunkStep } from '../../shared/chunk.ts'
import { decrypt, encrypt } from '../../shared/chunk-node.ts'
import { decryptMessage, encryptMessage } from '../../shared/message.ts'
import { installSubtle, nodeCrypto } from '../../shared/platform.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  installSubtle(undefined)
  vi.useRealTimers()
})

const { subtle } = crypto
const [salt, context] = [new Uint8Array(24), new Uint8Array([7])]
const key = await subtle.importKey(
  'raw',
  new Uint8Array(32),
  { name: 'HMAC', hash: 'SHA-512' },
  false,
  ['sign'],
)
const data = crypto.getRandomValues(new Uint8Array(CHUNK_LENGTH))

/** The step of Node's ciphers, or of WebCrypto. */
async function stepOf(usage: 'encrypt' | 'decrypt', where: 'node' | 'web') {
  if (where === 'web') vi.stubGlobal('navigator', undefined)
  const { step } = await deriveChunkStep(usage, key, salt, context)
  vi.unstubAllGlobals()
  return step
}

it.each([0, 1, 15, 16, 17, CHUNK_LENGTH - 1, CHUNK_LENGTH])(
  'a chunk of %i bytes is the same by both, and each opens it',
  async (length) => {
    const chunk = data.subarray(0, length)
    for (const index of [0, 1, 0x01020304, 0xffffffff]) {
      const sealed = await (await stepOf('encrypt', 'node'))(chunk, index)
      expect(await (await stepOf('encrypt', 'web'))(chunk, index)).toEqual(sealed)
      for (const where of ['node', 'web'] as const)
        expect(await (await stepOf('decrypt', where))(sealed, index)).toEqual(chunk)
    }
  },
)

describe.each(['node', 'web'] as const)('of %s', (where) => {
  it('no changed, cut or moved chunk is opened', async () => {
    const sealed = await (await stepOf('encrypt', where))(data, 5)
    const open = await stepOf('decrypt', where)
    for (const at of [0, 9_000, sealed.length - 17, sealed.length - 16, sealed.length - 1]) {
      const bad = sealed.slice()
      bad[at]! ^= 1
      await expectCode(open(bad, 5), 'ERR_OPEN')
    }
    for (const length of [0, 1, 12, 15, 16, sealed.length - 1])
      await expectCode(open(sealed.subarray(0, length), 5), 'ERR_OPEN')
    await expectCode(open(sealed, 4), 'ERR_OPEN')
    expect(await open(sealed, 5)).toEqual(data)
  })

  it('a tag that was cut opens nothing, although it fits as far as it goes', async () => {
    const tag = await (await stepOf('encrypt', where))(new Uint8Array(), 0)
    const open = await stepOf('decrypt', where)
    for (const length of [4, 8, 12, 15])
      await expectCode(open(tag.subarray(0, length), 0), 'ERR_OPEN')
    expect(await open(tag, 0)).toHaveLength(0)
  })

  it('a chunk is taken before the step returns', async () => {
    const own = data.slice()
    const made = (await stepOf('encrypt', where))(own, 0)
    own.fill(0)
    const sealed = await made
    expect(sealed).toEqual(await (await stepOf('encrypt', 'web'))(data, 0))
    const opened = (await stepOf('decrypt', where))(sealed, 0)
    sealed.fill(0)
    expect(await opened).toEqual(data)
  })
})

it('on Node no chunk is sent to another thread', async () => {
  const names = ['encrypt', 'decrypt', 'importKey'] as const
  const spies = names.map((name) => vi.spyOn(subtle, name))
  const message = await encryptMessage(key, new Uint8Array(32), context, salt, data)
  expect(await decryptMessage(key, message, context)).toEqual(data)
  for (const spy of spies) expect(spy).not.toHaveBeenCalled()
})

it.each([
  'Bun/1.3',
  'Deno/2.5',
  'Cloudflare-Workers',
  'Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/27.0',
  undefined,
])('what calls itself %s has WebCrypto', async (userAgent) => {
  vi.stubGlobal('navigator', { userAgent })
  expect(nodeCrypto()).toBeUndefined()
  const spies = (['encrypt', 'decrypt'] as const).map((name) => vi.spyOn(subtle, name))
  const message = await encryptMessage(key, new Uint8Array(32), context, salt, data.subarray(1))
  await decryptMessage(key, message, context)
  for (const spy of spies) expect(spy).toHaveBeenCalledOnce()
})

it('another implementation that was installed is the one that is used', async () => {
  expect(nodeCrypto()).toBeDefined()
  installSubtle(subtle)
  expect(nodeCrypto()).toBeUndefined()
})

it.each(['encrypt', 'decrypt'] as const)(
  'other work has its turn while a long message is there to %s',
  async (usage) => {
    const long = new Uint8Array(640 * CHUNK_LENGTH)
    const seal = () => encryptMessage(key, new Uint8Array(32), context, salt, long)
    const message = await seal()
    let turns = 0
    let isDone = false
    const rest = (): void => {
      turns++
      if (!isDone) setImmediate(rest)
    }
    setImmediate(rest)
    await (usage === 'encrypt' ? seal() : decryptMessage(key, message, context))
    isDone = true
    expect(turns).toBeGreaterThanOrEqual(10)
  },
)

it('a long message is made while the clock of a test stands still', async () => {
  vi.useFakeTimers()
  // As where nothing was decrypted before that.
  vi.resetModules()
  const fresh = await import('../../shared/message.ts')
  const long = new Uint8Array(200 * CHUNK_LENGTH)
  const message = await fresh.encryptMessage(key, new Uint8Array(32), context, salt, long)
  expect(await fresh.decryptMessage(key, message, context)).toHaveLength(long.length)
})

it('what has the name of Node and no process has WebCrypto', () => {
  vi.stubGlobal('process', undefined)
  expect(nodeCrypto()).toBeUndefined()
})

it.each(['encrypt', 'decrypt'] as const)(
  'other work has its turn among many short messages to %s, too',
  async (usage) => {
    const [raw, iv] = [new Uint8Array(32), new Uint8Array(12)]
    const sealed = new Uint8Array(await encrypt(nodeCrypto()!, raw)(iv, data))
    const chunk = usage === 'encrypt' ? data : sealed
    let turns = 0
    setImmediate(() => turns++)
    for (let i = 0; i < 20; i++) {
      const step = (usage === 'encrypt' ? encrypt : decrypt)(nodeCrypto()!, raw)
      for (let j = 0; j < 10; j++) await step(iv, chunk)
    }
    expect(turns).toBe(1)
  },
)
