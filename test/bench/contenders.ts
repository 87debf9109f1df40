/** Ways to encrypt application data, each as it is meant to be used: in Node and in browsers, on the same data in the same run. */
import * as age from 'age-encryption'
import { CompactEncrypt, compactDecrypt } from 'jose'
import sodium, { ready } from 'libsodium-wrappers-sumo'
import * as openpgp from 'openpgp'
import { type Bytes } from '../../shared/bytes.ts'
import { type Keyring } from '../../web/index.ts'
import { makeLeast, makeRaw } from './contender-raw.ts'
import { drain, streamOf } from './streams.ts'

/** Bytes of plaintext in a chunk, where there are chunks. */
const CHUNK = 16_384

/** One way. `encrypt` gives what `decrypt` takes. */
export interface Contender {
  name: string
  /** Bytes of plaintext up to which it says something. */
  most?: number
  /** And from which on. */
  least?: number
  /** The name of the way whose messages it opens, where its own are not kept: a stream's pieces are let go. */
  opens?: string
  encrypt: (data: Bytes) => Promise<unknown>
  decrypt: (message: never) => Promise<Bytes>
}

/** What has to be said about each before its figures are read. */
export const NOTES: Readonly<Record<string, string>> = {
  'raw WebCrypto':
    'AES-256-GCM in chunks of 16 KiB, 16 at once, into one buffer: no key derivation, no commitment, no format. Nobody can be faster in such chunks.',
  'raw WebCrypto, let go':
    'the same without the buffer: each chunk is let go as soon as it is made, as whoever streams does. What streams are compared with.',
  'raw WebCrypto, stream':
    'the same through the platform’s own streams: 64 KiB at a time go in, chunks come out, as they are made. What a stream costs that nobody can leave out who offers one.',
  'least calls':
    'What the format of Keyferry asks of WebCrypto for one short message, and nothing else: HMAC-SHA-512 twice, an import and AES-256-GCM, of which three wait for one another. With keys that cannot be exported nobody can do with less: what others do in JavaScript alone, such as the CFB mode of openpgp for a short message, waits for nothing.',
  'keyferry one-shot':
    'keyring.encrypt and decrypt: looks whether another tab has stored news, derives a key for each message from 24 random bytes, commits to it.',
  'keyferry stream':
    'keyring.encryptStream and decryptStream of a stream that gives 64 KiB at a time, as an answer of fetch does, and read piece by piece: in bounded memory.',
  age: 'age-encryption to one X25519 recipient: a key agreement for each message, ChaCha20-Poly1305 in JavaScript. The recipient needs no shared key.',
  'age stream': 'the same, from and to a stream of 64 KiB at a time.',
  openpgp:
    'openpgp as it comes, with a session key that is given, so that no public-key operation is counted: AES-256 in CFB mode with a SHA-1 check of the whole.',
  'openpgp stream':
    'the same, from and to a stream of 64 KiB at a time; decrypted with allowUnauthenticatedStream, without which it keeps everything back until its end.',
  'openpgp, AEAD':
    'the same with aeadProtect, AES-256-GCM by WebCrypto in its default chunks: off by default, since not every OpenPGP program reads it.',
  'openpgp, AEAD stream': 'the same, from and to a stream.',
  jose: 'jose, compact JWE with dir and A256GCM: one GCM call over everything, base64url of all of it, nothing to stream.',
  libsodium:
    'libsodium-wrappers-sumo, secretstream (XChaCha20-Poly1305) in chunks of 16 KiB, in WebAssembly: calls are synchronous.',
  'AWS Encryption SDK':
    'for JavaScript, in Node, under a raw AES key: AES-256-GCM in frames of 16 KiB with key commitment. Its default is frames of 4 KiB and an ECDSA signature of each message, which the others do not make. A page would take another build of it.',
  'AWS Encryption SDK stream':
    'the same as a stream that is fed 64 KiB at a time and read piece by piece.',
}

function makeOwn(keyring: Keyring): Contender[] {
  const context = { context: 'note/1' }
  return [
    {
      name: 'keyferry one-shot',
      encrypt: (data) => keyring.encrypt(data, context),
      decrypt: (message: Bytes) => keyring.decrypt(message, context),
    },
    {
      name: 'keyferry stream',
      opens: 'keyferry one-shot',
      encrypt: (data) => drain(keyring.encryptStream(streamOf(data), context)),
      decrypt: (message: Bytes) => drain(keyring.decryptStream(streamOf(message), context)),
    },
  ]
}

async function makeAge(): Promise<Contender[]> {
  const identity = await age.generateX25519Identity()
  const recipient = await age.identityToRecipient(identity)
  const encrypter = new age.Encrypter()
  encrypter.addRecipient(recipient)
  const decrypter = new age.Decrypter()
  decrypter.addIdentity(identity)
  return [
    {
      name: 'age',
      encrypt: (data) => encrypter.encrypt(data),
      decrypt: (message: Uint8Array) => decrypter.decrypt(message) as Promise<Bytes>,
    },
    {
      name: 'age stream',
      least: CHUNK + 1,
      opens: 'age',
      encrypt: async (data) => drain(await encrypter.encrypt(streamOf(data))),
      decrypt: async (message: Bytes) => drain(await decrypter.decrypt(streamOf(message))),
    },
  ]
}

function makeOpenpgp(isAead: boolean): Contender[] {
  const sessionKey: openpgp.SessionKey = {
    data: crypto.getRandomValues(new Uint8Array(32)),
    algorithm: 'aes256',
    ...(isAead ? { aeadAlgorithm: 'gcm' } : {}),
  }
  const config = { aeadProtect: isAead, preferredAEADAlgorithm: openpgp.enums.aead.gcm }
  const name = isAead ? 'openpgp, AEAD' : 'openpgp'
  return [
    {
      name,
      encrypt: async (binary) =>
        openpgp.encrypt({
          message: await openpgp.createMessage({ binary }),
          sessionKey,
          config,
          format: 'binary',
        }),
      async decrypt(binaryMessage: Uint8Array) {
        const message = await openpgp.readMessage({ binaryMessage })
        const { data } = await openpgp.decrypt({
          message,
          sessionKeys: sessionKey,
          format: 'binary',
        })
        return data as Bytes
      },
    },
    {
      name: `${name} stream`,
      least: CHUNK + 1,
      opens: name,
      encrypt: async (data) =>
        drain(
          await openpgp.encrypt({
            message: await openpgp.createMessage({ binary: streamOf(data) }),
            sessionKey,
            config,
            format: 'binary',
          }),
        ),
      async decrypt(binary: Bytes) {
        const { data } = await openpgp.decrypt({
          message: await openpgp.readMessage({ binaryMessage: streamOf(binary) }),
          sessionKeys: sessionKey,
          format: 'binary',
          config: { allowUnauthenticatedStream: true },
        })
        return drain(data as ReadableStream<Uint8Array>)
      },
    },
  ]
}

function makeJose(): Contender {
  const key = crypto.getRandomValues(new Uint8Array(32))
  return {
    name: 'jose',
    encrypt: (data) =>
      new CompactEncrypt(data).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(key),
    decrypt: async (message: string) => (await compactDecrypt(message, key)).plaintext as Bytes,
  }
}

async function makeSodium(): Promise<Contender> {
  await ready
  const {
    crypto_secretstream_xchacha20poly1305_ABYTES: overhead,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES: headerLength,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE: more,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL: end,
  } = sodium
  const key = sodium.crypto_secretstream_xchacha20poly1305_keygen()
  const push = (data: Bytes): Bytes => {
    const count = Math.max(1, Math.ceil(data.length / CHUNK))
    const output = new Uint8Array(headerLength + data.length + count * overhead)
    const { state, header } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key)
    output.set(header)
    for (let i = 0; i < count; i++) {
      const chunk = data.subarray(i * CHUNK, (i + 1) * CHUNK)
      const tag = i === count - 1 ? end : more
      const made = sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, null, tag)
      output.set(made, headerLength + i * (CHUNK + overhead))
    }
    return output
  }
  const pull = (message: Bytes): Bytes => {
    const header = message.subarray(0, headerLength)
    const state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key)
    const body = message.subarray(headerLength)
    const count = Math.ceil(body.length / (CHUNK + overhead))
    const output = new Uint8Array(body.length - count * overhead)
    for (let i = 0; i < count; i++) {
      const chunk = body.subarray(i * (CHUNK + overhead), (i + 1) * (CHUNK + overhead))
      const pulled = sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, null)
      if (!pulled) throw new Error('not authentic')
      output.set(pulled.message, i * CHUNK)
    }
    return output
  }
  return {
    name: 'libsodium',
    encrypt: (data) => Promise.resolve(push(data)),
    decrypt: (message: Bytes) => Promise.resolve(pull(message)),
  }
}

/** All that run in Node and in pages, with keys. */
export async function makeContenders(keyring: Keyring): Promise<Contender[]> {
  return [
    ...(await makeRaw()),
    await makeLeast(),
    ...makeOwn(keyring),
    ...(await makeAge()),
    ...makeOpenpgp(false),
    ...makeOpenpgp(true),
    makeJose(),
    await makeSodium(),
  ]
}
