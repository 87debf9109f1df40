/**
 * Ways to bring N keys to M clients, each with a library's own means for several recipients, signed once: made in Node, opened in Node and in pages. The
 * payload is the N keys, 32 bytes each, behind one another.
 */
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
import * as openpgp from 'openpgp'
import { type Bytes } from '../../shared/bytes.ts'

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

export type PeerName = 'jose' | 'openpgp' | 'age'

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

export const PEERS: readonly Peer[] = [jose, pgp, typage]

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
}
