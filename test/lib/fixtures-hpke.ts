/**
 * A second implementation of the HPKE base-mode seal (RFC 9180 §5, draft-ietf-hpke-pq for X-Wing), with the sender's ephemeral key from a
 * seed: welcomes are the same bytes on every run, and what shared/hpke.ts opens was not sealed by it.
 */
import { x25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { gcm } from '@noble/ciphers/aes.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { concat, u16, utf8, type Bytes } from '../../shared/bytes.ts'
import { type Suite } from '../../shared/trust.ts'
import { seeded } from './fixtures-keys.ts'

const KEM = { 'MLKEM768-X25519': 0x647a, X25519: 0x0020, 'P-256': 0x0010 }

function labeledExtract(suite: Bytes, salt: Bytes, label: string, ikm: Bytes): Bytes {
  return Uint8Array.from(extract(sha256, concat(utf8('HPKE-v1'), suite, utf8(label), ikm), salt))
}

function labeledExpand(suite: Bytes, prk: Bytes, label: string, info: Bytes, length: number) {
  const labeled = concat(u16(length), utf8('HPKE-v1'), suite, utf8(label), info)
  return Uint8Array.from(expand(sha256, prk, labeled, length))
}

/** DHKEM (RFC 9180 §4.1) of X25519 or P-256. */
function dhEncap(suite: 'X25519' | 'P-256', publicKey: Bytes, seed: string): [Bytes, Bytes] {
  const secret = seeded(`ephemeral ${seed}`).with(0, 0x5a)
  const enc =
    suite === 'X25519'
      ? Uint8Array.from(x25519.getPublicKey(secret))
      : Uint8Array.from(p256.getPublicKey(secret, false))
  const dh =
    suite === 'X25519'
      ? Uint8Array.from(x25519.getSharedSecret(secret, publicKey))
      : Uint8Array.from(p256.getSharedSecret(secret, publicKey, true)).slice(1)
  const id = concat(utf8('KEM'), u16(KEM[suite]))
  const prk = labeledExtract(id, new Uint8Array(), 'eae_prk', dh)
  return [labeledExpand(id, prk, 'shared_secret', concat(enc, publicKey), 32), enc]
}

/** X-Wing (draft-connolly-cfrg-xwing-kem). */
function xWingEncap(publicKey: Bytes, seed: string): [Bytes, Bytes] {
  const [mlKemPublic, peer] = [publicKey.slice(0, 1_184), publicKey.slice(1_184)]
  const m = ml_kem768.encapsulate(mlKemPublic, seeded(`ml-kem ${seed}`))
  const secret = seeded(`ephemeral ${seed}`)
  const ephemeral = x25519.getPublicKey(secret)
  const dh = x25519.getSharedSecret(secret, peer)
  const all = concat(m.sharedSecret, dh, ephemeral, peer, utf8('\\.//^\\'))
  return [Uint8Array.from(sha3_256(all)), concat(m.cipherText, ephemeral)]
}

/** Seals with empty aad in one of the protocol's suites: KDF HKDF-SHA-256, AEAD AES-256-GCM. */
export function sealWith(
  suite: Suite,
  publicKey: Bytes,
  plaintext: Bytes,
  info: Bytes,
  seed: string,
): { encapsulated: Bytes; ciphertext: Bytes } {
  const [secret, encapsulated] =
    suite === 'MLKEM768-X25519' ? xWingEncap(publicKey, seed) : dhEncap(suite, publicKey, seed)
  const id = concat(utf8('HPKE'), u16(KEM[suite]), u16(1), u16(2))
  const empty = new Uint8Array()
  const context = concat(
    Uint8Array.of(0),
    labeledExtract(id, empty, 'psk_id_hash', empty),
    labeledExtract(id, empty, 'info_hash', info),
  )
  const prk = labeledExtract(id, secret, 'secret', empty)
  const key = labeledExpand(id, prk, 'key', context, 32)
  const nonce = labeledExpand(id, prk, 'base_nonce', context, 12)
  return { encapsulated, ciphertext: Uint8Array.from(gcm(key, nonce).encrypt(plaintext)) }
}
