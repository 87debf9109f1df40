// HPKE in the suites of the protocol: keys that cannot be read, sealed by other implementations, and one error for every failure.
import {
  AEAD_AES_256_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_P256_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  KEM_MLKEM768_X25519,
} from 'hpke'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { concat, utf8, type Bytes } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { nobleMlKem } from '../../shared/ml-kem-noble.ts'
import { webMlKem } from '../../shared/ml-kem.ts'
import { KEM_ID, PUBLIC_KEY_LENGTH } from '../../shared/suites.ts'
import { SUITES } from '../../shared/trust.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { sealWith } from '../lib/fixtures-hpke.ts'
import { makeRecipient, seeded } from '../lib/fixtures-keys.ts'
import { hasWebCrypto } from '../lib/platform.ts'

const info = utf8('info')
const secret = seeded('plaintext')
const ENCAPSULATED = { 'MLKEM768-X25519': 1_120, X25519: 32, 'P-256': 65 }
const PEERS = {
  'MLKEM768-X25519': KEM_MLKEM768_X25519,
  X25519: KEM_DHKEM_X25519_HKDF_SHA256,
  'P-256': KEM_DHKEM_P256_HKDF_SHA256,
}

describe.each(SUITES)('%s', (suite) => {
  const hpke = createHpke(suite)

  it.runIf(hasWebCrypto)('opens what it sealed, with keys that cannot be read', async () => {
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

  it.runIf(hasWebCrypto)(
    'what the platform lacks is told as that, and not as a key or a ciphertext',
    async () => {
      const recipient = await hpke.generate(true)
      const { encapsulated, ciphertext } = await hpke.seal(recipient.publicKey, secret, info)
      vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
      onTestFinished(() => void vi.unstubAllGlobals())
      await expectCode(hpke.seal(recipient.publicKey, secret, info), 'ERR_UNSUPPORTED')
      await expectCode(hpke.open(recipient, encapsulated, ciphertext, info), 'ERR_UNSUPPORTED')
    },
  )

  it.runIf(hasWebCrypto)('keys survive a structured clone', async () => {
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

  it.runIf(hasWebCrypto)(
    'agrees with the hpke package, which seals to its keys and to which it seals',
    async () => {
      const peer = new CipherSuite(PEERS[suite], KDF_HKDF_SHA256, AEAD_AES_256_GCM)
      const aad = utf8('aad')
      const own = await hpke.generate(false)
      const ownKey = await peer.DeserializePublicKey(own.publicKey)
      const { encapsulatedSecret, ciphertext } = await peer.Seal(ownKey, secret, { info, aad })
      const sealed = encapsulatedSecret as Bytes
      expect(await hpke.open(own, sealed, ciphertext as Bytes, info, aad)).toEqual(secret)
      await expectCode(hpke.open(own, sealed, ciphertext as Bytes, info), 'ERR_OPEN')
      const pair = await peer.GenerateKeyPair(true)
      const publicKey = (await peer.SerializePublicKey(pair.publicKey)) as Bytes
      const back = await hpke.seal(publicKey, secret, info, aad)
      const opened = peer.Open(pair, back.encapsulated, back.ciphertext, { info, aad })
      expect(new Uint8Array(await opened)).toEqual(secret)
    },
  )

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

it.runIf(hasWebCrypto)('X-Wing with another ML-KEM is the same X-Wing', async () => {
  const suite = 'MLKEM768-X25519'
  const [web, noble] = [createHpke(suite, webMlKem), createHpke(suite, nobleMlKem)]
  const recipient = await web.generate(false)
  const sealed = await noble.seal(recipient.publicKey, secret, info)
  expect(await web.open(recipient, sealed.encapsulated, sealed.ciphertext, info)).toEqual(secret)
  const own = await noble.generate(false)
  const mixed = await web.seal(own.publicKey, secret, info)
  expect(await noble.open(own, mixed.encapsulated, mixed.ciphertext, info)).toEqual(secret)
})

it('a point in another encoding is none, whatever the platform reads', async () => {
  const hpke = createHpke('P-256')
  const recipient = await makeRecipient('P-256', 'known')
  const sealed = await hpke.seal(recipient.publicKey, secret, info)
  const last = (key: Bytes): number => key.at(-1)! & 1
  // X9.62 §4.3.6: the hybrid form, which some libraries still take.
  const hybrid = (key: Bytes): Bytes => key.with(0, 6 + last(key))
  await expectCode(
    hpke.open(recipient, hybrid(sealed.encapsulated), sealed.ciphertext, info),
    'ERR_OPEN',
  )
  await expectCode(hpke.seal(hybrid(recipient.publicKey), secret, info), 'ERR_KEY_PACKAGE')
})
