// HPKE in the suites of the protocol: keys that cannot be read, sealed by another implementation, and one error for every failure.
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { describe, expect, it } from 'vitest'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { createHpke, KEM_ID, PUBLIC_KEY_LENGTH } from '../../shared/hpke.ts'
import { SUITES } from '../../shared/trust.ts'
import { type MlKem, webMlKem } from '../../shared/x-wing.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { sealWith } from '../lib/fixtures-hpke.ts'
import { makeRecipient, recipientSecret, seeded } from '../lib/fixtures-keys.ts'

const info = utf8('info')
const secret = seeded('plaintext')
const ENCAPSULATED = { 'MLKEM768-X25519': 1_120, X25519: 32, 'P-256': 65 }

const nobleMlKem: MlKem = {
  generate() {
    const { publicKey, secretKey } = ml_kem768.keygen()
    return Promise.resolve({ publicKey: Uint8Array.from(publicKey), privateKey: secretKey })
  },
  encapsulate(publicKey) {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey)
    return Promise.resolve({
      ciphertext: Uint8Array.from(cipherText),
      sharedSecret: Uint8Array.from(sharedSecret),
    })
  },
  decapsulate: (key, ciphertext) =>
    Promise.resolve(Uint8Array.from(ml_kem768.decapsulate(ciphertext, key as Uint8Array))),
}

describe.each(SUITES)('%s', (suite) => {
  const hpke = createHpke(suite)

  it('opens what it sealed, with keys that cannot be read', async () => {
    const recipient = await hpke.generate(false)
    expect(recipient.publicKey.length).toBe(PUBLIC_KEY_LENGTH[suite])
    const { encapsulated, ciphertext } = await hpke.seal(recipient.publicKey, secret, info)
    expect(encapsulated.length).toBe(ENCAPSULATED[suite])
    expect(ciphertext.length).toBe(48)
    expect(await hpke.open(recipient, encapsulated, ciphertext, info)).toEqual(secret)
    for (const key of recipient.privateKeys) {
      expect((key as CryptoKey).extractable).toBe(false)
    }
    const readable = await hpke.generate(true)
    expect((readable.privateKeys[0] as CryptoKey).extractable).toBe(true)
  })

  it('keys survive a structured clone', async () => {
    const recipient = await hpke.generate(false)
    const { encapsulated, ciphertext } = await hpke.seal(recipient.publicKey, secret, info)
    const copy = structuredClone(recipient)
    expect(await hpke.open(copy, encapsulated, ciphertext, info)).toEqual(secret)
  })

  it('opens what a second implementation sealed', async () => {
    const recipient = await makeRecipient(suite, 'known')
    const sealed = sealWith(suite, recipient.publicKey, secret, info, 'seed')
    expect(await hpke.open(recipient, sealed.encapsulated, sealed.ciphertext, info)).toEqual(secret)
  })

  it('seals differently each time', async () => {
    const { publicKey } = await hpke.generate(false)
    const [a, b] = [
      await hpke.seal(publicKey, secret, info),
      await hpke.seal(publicKey, secret, info),
    ]
    expect(a.encapsulated).not.toEqual(b.encapsulated)
    expect(a.ciphertext).not.toEqual(b.ciphertext)
  })

  it('every failure to open is the same ERR_OPEN', async () => {
    const recipient = await makeRecipient(suite, 'known')
    const { encapsulated, ciphertext } = sealWith(suite, recipient.publicKey, secret, info, 'seed')
    const open = (e: Bytes, c: Bytes, i = info, r = recipient) => hpke.open(r, e, c, i)
    const flip = (bytes: Bytes, at: number) => bytes.with(at, bytes[at]! ^ 1)
    const stranger = await makeRecipient(suite, 'stranger')
    for (const work of [
      () => open(flip(encapsulated, 1), ciphertext),
      () => open(flip(encapsulated, encapsulated.length - 1), ciphertext),
      () => open(encapsulated, flip(ciphertext, 0)),
      () => open(encapsulated, flip(ciphertext, 47)),
      () => open(encapsulated, ciphertext.slice(0, -1)),
      () => open(encapsulated, ciphertext, utf8('other')),
      () => open(encapsulated, ciphertext, info, stranger),
      () => open(new Uint8Array(encapsulated.length), ciphertext),
      () => open(encapsulated.slice(1), ciphertext),
      () => open(concat(encapsulated, Uint8Array.of(0)), ciphertext),
      () => open(new Uint8Array(), ciphertext),
    ]) {
      await expectCode(work, 'ERR_OPEN')
    }
  })

  it('a public key that is none is ERR_KEY_PACKAGE', async () => {
    const { publicKey } = await makeRecipient(suite, 'known')
    for (const key of [
      publicKey.slice(0, -1),
      new Uint8Array(publicKey.length),
      new Uint8Array(),
      new Uint8Array(publicKey.length).fill(0xff),
    ]) {
      if (suite === 'X25519' && key[0] === 0xff) continue
      await expectCode(hpke.seal(key, secret, info), 'ERR_KEY_PACKAGE')
    }
  })
})

it('KEM ids are those of RFC 9180 and draft-ietf-hpke-pq', () => {
  expect(KEM_ID).toEqual({ 'MLKEM768-X25519': 0x647a, X25519: 0x0020, 'P-256': 0x0010 })
})

it('X-Wing with another ML-KEM is the same X-Wing', async () => {
  const suite = 'MLKEM768-X25519'
  const [web, noble] = [createHpke(suite, webMlKem), createHpke(suite, nobleMlKem)]
  const recipient = await web.generate(false)
  const sealed = await noble.seal(recipient.publicKey, secret, info)
  expect(await web.open(recipient, sealed.encapsulated, sealed.ciphertext, info)).toEqual(secret)
  const known = await makeRecipient(suite, 'known')
  const seed = recipientSecret(suite, 'known').slice(0, 64)
  const privateKeys = [ml_kem768.keygen(seed).secretKey, known.privateKeys[1]]
  const other = await web.seal(known.publicKey, secret, info)
  const opened = noble.open({ ...known, privateKeys }, other.encapsulated, other.ciphertext, info)
  expect(await opened).toEqual(secret)
  const own = await noble.generate(false)
  const mixed = await web.seal(own.publicKey, secret, info)
  expect(await noble.open(own, mixed.encapsulated, mixed.ciphertext, info)).toEqual(secret)
})
