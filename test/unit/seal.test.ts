// What the deriver seals with Node's crypto opens by the client's HPKE and by the hpke package, and nothing is sealed to what is no key.
import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_MLKEM768_X25519 } from 'hpke'
import { describe, expect, it } from 'vitest'
import { seal } from '../../deriver/seal.ts'
import { fromHex, utf8 } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { PUBLIC_KEY_LENGTH } from '../../shared/suites.ts'
import { SUITES } from '../../shared/trust.ts'
import { errorCode } from '../lib/odd-certificates.ts'
import { makeRecipient, seeded } from '../lib/fixtures-keys.ts'

const info = utf8('info')
const secret = seeded('plaintext')

describe.each(SUITES)('%s', (suite) => {
  const codeOf = (key: Uint8Array<ArrayBuffer>): Promise<string> =>
    errorCode(() => seal(suite, key, secret, info))

  it('is opened by the client, and differs each time', async () => {
    const recipient = await makeRecipient(suite, 'known')
    const [a, b] = [1, 2].map(() => seal(suite, recipient.publicKey, secret, info))
    for (const { encapsulated, ciphertext } of [a!, b!])
      expect(await createHpke(suite).open(recipient, encapsulated, ciphertext, info)).toEqual(
        secret,
      )
    expect(a!.encapsulated).not.toEqual(b!.encapsulated)
    expect(a!.ciphertext).not.toEqual(b!.ciphertext)
    const other = createHpke(suite).open(recipient, a!.encapsulated, a!.ciphertext, utf8('other'))
    expect(await errorCode(() => other)).toBe('ERR_OPEN')
  })

  it('a public key that is none is ERR_KEY_PACKAGE', async () => {
    const { publicKey } = await makeRecipient(suite, 'known')
    for (const key of [
      publicKey.slice(0, -1),
      Uint8Array.from([...publicKey, 0]),
      new Uint8Array(PUBLIC_KEY_LENGTH[suite]),
      new Uint8Array(),
    ])
      expect(await codeOf(key)).toBe('ERR_KEY_PACKAGE')
  })
})

// RFC 7748 §6.1: what has no part of the other side's secret in it.
it.each([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])('X25519 points of low order are ERR_KEY_PACKAGE: %s', async (point) => {
  const code = errorCode(() => seal('X25519', fromHex(point), secret, info))
  expect(await code).toBe('ERR_KEY_PACKAGE')
})

it('P-256 points in other encodings are ERR_KEY_PACKAGE', async () => {
  const { publicKey } = await makeRecipient('P-256', 'known')
  const hybrid = publicKey.with(0, 6 + (publicKey[64]! & 1))
  const code = errorCode(() => seal('P-256', hybrid, secret, info))
  expect(await code).toBe('ERR_KEY_PACKAGE')
})

it('X-Wing is that of the hpke package', async () => {
  const peer = new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_256_GCM)
  const pair = await peer.GenerateKeyPair(true)
  const publicKey = (await peer.SerializePublicKey(pair.publicKey)) as Uint8Array<ArrayBuffer>
  const { encapsulated, ciphertext } = seal('MLKEM768-X25519', publicKey, secret, info)
  expect(new Uint8Array(await peer.Open(pair, encapsulated, ciphertext, { info }))).toEqual(secret)
})
