/**
 * Ways to bring N keys to M clients, each with a library's own means for several recipients, signed once: made in Node, opened in Node and in pages. The
 * payload is the N keys, 32 bytes each, behind one another.
 */
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import * as age from 'age-encryption'
import {
  exportJWK,
  FlattenedSign,
  flattenedDecrypt,
  flattenedVerify,
  GeneralEncrypt,
  generateKeyPair,
  importJWK,
  type FlattenedJWS,
  type GeneralJWE,
  type JWK,
} from 'jose'
import sodium, { ready } from 'libsodium-wrappers-sumo'
import * as openpgp from 'openpgp'
import { concat, type Bytes } from '../../shared/bytes.ts'

/** What one recipient has to know, as JSON: its private key and the sender's public one. */
export type Recipient = Record<string, unknown>

/** One message to all, and what recipient 0 opens it with. */
export interface Sent {
  message: string
  recipient: Recipient
}

/** A library, by name in {@link OPENERS}. */
export interface Peer {
  name: PeerName
  note: string
  /** Makes recipients, which nobody measures; returns what seals to all of them. */
  prepare(count: number): Promise<(keys: Bytes) => Promise<Sent>>
}

export type PeerName = 'jose' | 'openpgp' | 'age' | 'libsodium' | '@hpke/core'

const times = <T>(count: number, make: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, make))

const base64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8_192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return btoa(text)
}
const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

const jose: Peer = {
  name: 'jose',
  note: 'general JWE, ECDH-ES+A256KW to each recipient, in a flattened JWS (Ed25519); a client picks its recipient by `kid`, which the general decryption of the library does not do.',
  async prepare(count) {
    const alg = 'ECDH-ES+A256KW'
    const pairs = await times(count, () =>
      generateKeyPair(alg, { crv: 'X25519', extractable: true }),
    )
    const signer = await generateKeyPair('Ed25519', { extractable: true })
    const recipient: Recipient = {
      key: await exportJWK(pairs[0]!.privateKey),
      sender: await exportJWK(signer.publicKey),
    }
    return async (keys) => {
      const jwe = new GeneralEncrypt(keys).setProtectedHeader({ enc: 'A256GCM' })
      for (const [i, { publicKey }] of pairs.entries())
        jwe.addRecipient(publicKey).setUnprotectedHeader({ alg, kid: String(i) })
      const text = JSON.stringify(await jwe.encrypt())
      const jws = await new FlattenedSign(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'Ed25519' })
        .sign(signer.privateKey)
      return { message: JSON.stringify(jws), recipient }
    }
  },
}

const pgp: Peer = {
  name: 'openpgp',
  note: 'openpgp as it comes, to a curve25519 key of each recipient, signed.',
  async prepare(count) {
    const make = (name: string) =>
      openpgp.generateKey({ userIDs: [{ name }], type: 'curve25519', format: 'object' })
    const pairs: Awaited<ReturnType<typeof make>>[] = []
    for (let i = 0; i < count; i++) pairs.push(await make(`client ${i}`))
    const signer = await make('deriver')
    const recipient: Recipient = {
      key: pairs[0]!.privateKey.armor(),
      sender: signer.publicKey.armor(),
    }
    return async (keys) => {
      const made = await openpgp.encrypt({
        message: await openpgp.createMessage({ binary: keys }),
        encryptionKeys: pairs.map(({ publicKey }) => publicKey),
        signingKeys: signer.privateKey,
        format: 'binary',
      })
      return { message: base64(made as Uint8Array), recipient }
    }
  },
}

const typage: Peer = {
  name: 'age',
  note: 'age-encryption to an X25519 recipient for each client, and an Ed25519 signature over the file, by WebCrypto: age has none. Its stanzas carry no hint, so that a client tries one after the other.',
  async prepare(count) {
    const identities = await times(count, () => age.generateX25519Identity())
    const names = await Promise.all(identities.map((one) => age.identityToRecipient(one)))
    const signer = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
    // In the middle: the average client tries half of the stanzas.
    const recipient: Recipient = {
      key: identities[Math.floor(count / 2)]!,
      sender: await crypto.subtle.exportKey('jwk', signer.publicKey),
    }
    return async (keys) => {
      const encrypter = new age.Encrypter()
      for (const name of names) encrypter.addRecipient(name)
      const file = (await encrypter.encrypt(keys)) as Bytes
      const signature = await crypto.subtle.sign('Ed25519', signer.privateKey, file)
      const message = { file: base64(file), signature: base64(new Uint8Array(signature)) }
      return { message: JSON.stringify(message), recipient }
    }
  },
}

/** Bytes of an Ed25519 signature, and of what seals 32 bytes to an X25519 key. */
const SIGNATURE = 64
const SEALED = 80

const libsodium: Peer = {
  name: 'libsodium',
  note: 'libsodium-wrappers-sumo: a random key by crypto_box_seal to each recipient, the keys under it by crypto_secretbox, crypto_sign over all, one seal after the other; a client knows its place. The format is made up: the library has none for several recipients.',
  async prepare(count) {
    await ready
    const pairs = Array.from({ length: count }, () => sodium.crypto_box_keypair())
    const signer = sodium.crypto_sign_keypair()
    const { publicKey, privateKey } = pairs[0]!
    const recipient: Recipient = {
      key: [publicKey, privateKey].map(base64),
      sender: base64(signer.publicKey),
      count,
    }
    return (keys) => {
      const key = sodium.crypto_secretbox_keygen()
      const nonce = sodium.randombytes_buf(sodium.crypto_secretbox_NONCEBYTES)
      const seals = pairs.map((one) => sodium.crypto_box_seal(key, one.publicKey) as Bytes)
      const body = sodium.crypto_secretbox_easy(keys, nonce, key)
      const sealed = concat(...seals, nonce, body)
      const signature = sodium.crypto_sign_detached(sealed, signer.privateKey)
      const message = base64(concat(signature, sealed))
      return Promise.resolve({ message, recipient })
    }
  },
}

/** HPKE base mode, X25519, HKDF-SHA-256 and AES-256-GCM, by @hpke/core. */
function makeHpkeSuite(): CipherSuite {
  return new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes256Gcm(),
  })
}

const hpke: Peer = {
  name: '@hpke/core',
  note: '@hpke/core: a random key by HPKE (X25519, AES-256-GCM) to each recipient, the keys under it by AES-256-GCM and an Ed25519 signature over all, both by WebCrypto; a client knows its place. The format is made up here, too. It gives raw bytes to the page, as all of the others do.',
  async prepare(count) {
    const suite = makeHpkeSuite()
    const pairs = await times(count, () => suite.kem.generateKeyPair())
    const signer = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
    const recipient: Recipient = {
      key: base64(new Uint8Array(await suite.kem.serializePrivateKey(pairs[0]!.privateKey))),
      sender: await crypto.subtle.exportKey('jwk', signer.publicKey),
      count,
    }
    return async (keys) => {
      const key = crypto.getRandomValues(new Uint8Array(32))
      const iv = crypto.getRandomValues(new Uint8Array(12))
      const seals = await Promise.all(
        pairs.map(async ({ publicKey }) => {
          const { enc, ct } = await suite.seal({ recipientPublicKey: publicKey }, key.buffer)
          return concat(new Uint8Array(enc), new Uint8Array(ct))
        }),
      )
      const aead = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt'])
      const body = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, aead, keys)
      const sealed = concat(...seals, iv, new Uint8Array(body))
      const signature = await crypto.subtle.sign('Ed25519', signer.privateKey, sealed)
      return { message: base64(concat(new Uint8Array(signature), sealed)), recipient }
    }
  },
}

export const PEERS: readonly Peer[] = [jose, pgp, typage, libsodium, hpke]

/** Reads keys once, as an app does at its start; what it returns opens a message down to the keys. Runs in Node and in a page. */
export const OPENERS: Record<
  PeerName,
  (recipient: Recipient) => Promise<(message: string) => Promise<Bytes>>
> = {
  async jose({ key, sender }) {
    const own = await importJWK(key as JWK, 'ECDH-ES+A256KW')
    const trusted = await importJWK(sender as JWK, 'Ed25519')
    return async (message) => {
      const { payload } = await flattenedVerify(JSON.parse(message) as FlattenedJWS, trusted)
      const { recipients, ...rest } = JSON.parse(new TextDecoder().decode(payload)) as GeneralJWE
      const { header, encrypted_key } = recipients.find((one) => one.header?.['kid'] === '0')!
      const flat = { ...rest, header: header!, encrypted_key: encrypted_key! }
      return (await flattenedDecrypt(flat, own)).plaintext as Bytes
    }
  },
  async openpgp({ key, sender }) {
    const own = await openpgp.readPrivateKey({ armoredKey: key as string })
    const trusted = await openpgp.readKey({ armoredKey: sender as string })
    return async (message) => {
      const { data } = await openpgp.decrypt({
        message: await openpgp.readMessage({ binaryMessage: fromBase64(message) }),
        decryptionKeys: own,
        verificationKeys: trusted,
        expectSigned: true,
        format: 'binary',
      })
      return data as Bytes
    }
  },
  async age({ key, sender }) {
    const trusted = await crypto.subtle.importKey('jwk', sender as JsonWebKey, 'Ed25519', false, [
      'verify',
    ])
    const decrypter = new age.Decrypter()
    decrypter.addIdentity(key as string)
    return async (message) => {
      const { file, signature } = JSON.parse(message) as Record<string, string>
      const bytes = fromBase64(file!)
      if (!(await crypto.subtle.verify('Ed25519', trusted, fromBase64(signature!), bytes)))
        throw new Error('not signed')
      return (await decrypter.decrypt(bytes)) as Bytes
    }
  },
  async libsodium({ key, sender, count }) {
    await ready
    const [publicKey, privateKey] = (key as string[]).map(fromBase64)
    const trusted = fromBase64(sender as string)
    return (message) => {
      const bytes = fromBase64(message)
      const sealed = bytes.subarray(SIGNATURE)
      if (!sodium.crypto_sign_verify_detached(bytes.subarray(0, SIGNATURE), sealed, trusted))
        throw new Error('not signed')
      const own = sodium.crypto_box_seal_open(sealed.subarray(0, SEALED), publicKey!, privateKey!)
      const rest = sealed.subarray(SEALED * Number(count))
      const nonce = rest.subarray(0, sodium.crypto_secretbox_NONCEBYTES)
      const body = rest.subarray(nonce.length)
      return Promise.resolve(sodium.crypto_secretbox_open_easy(body, nonce, own) as Bytes)
    }
  },
  async '@hpke/core'({ key, sender, count }) {
    const suite = makeHpkeSuite()
    const own = await suite.kem.deserializePrivateKey(fromBase64(key as string).buffer)
    const trusted = await crypto.subtle.importKey('jwk', sender as JsonWebKey, 'Ed25519', false, [
      'verify',
    ])
    return async (message) => {
      const bytes = fromBase64(message)
      const sealed = bytes.subarray(SIGNATURE)
      if (!(await crypto.subtle.verify('Ed25519', trusted, bytes.subarray(0, SIGNATURE), sealed)))
        throw new Error('not signed')
      const enc = sealed.slice(0, 32).buffer
      const raw = await suite.open({ recipientKey: own, enc }, sealed.slice(32, SEALED).buffer)
      const aead = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt'])
      const rest = sealed.subarray(SEALED * Number(count))
      const algorithm = { name: 'AES-GCM', iv: rest.subarray(0, 12) }
      return new Uint8Array(await crypto.subtle.decrypt(algorithm, aead, rest.subarray(12)))
    }
  },
}
