/**
 * X-Wing (draft-connolly-cfrg-xwing-kem; MLKEM768-X25519, 0x647a of draft-ietf-hpke-pq) as a KEM of HPKE, out of two separate
 * keys: ML-KEM-768 (FIPS 203) and X25519 (RFC 7748). Their public halves side by side are an ordinary X-Wing public key, so a sender
 * notices no difference, and neither private half need ever be readable.
 */
import { sha3_256 } from '@noble/hashes/sha3.js'
import { concat, utf8, type Bytes } from './bytes.ts'
import { agree, generateDh } from './dh-kem.ts'
import type { Kem } from './hpke.ts'
import { mlKem as anyMlKem, type MlKem } from './ml-kem.ts'

const ML_KEM_PUBLIC = 1_184
const ML_KEM_CIPHERTEXT = 1_088
const LABEL = utf8('\\.//^\\')

function combine(
  mlKemSecret: Bytes,
  x25519Secret: Bytes,
  x25519Ciphertext: Bytes,
  x25519Public: Bytes,
): Bytes {
  const input = concat(mlKemSecret, x25519Secret, x25519Ciphertext, x25519Public, LABEL)
  const secret = sha3_256(input)
  for (const one of [input, mlKemSecret, x25519Secret]) one.fill(0)
  return secret
}

/** X-Wing; its private keys are the one of ML-KEM-768 and the one of X25519. */
export function createXWing(mlKem: MlKem = anyMlKem): Kem {
  return {
    async generate(extractable) {
      const [m, x] = await Promise.all([
        mlKem.generate(extractable),
        generateDh('X25519', extractable),
      ])
      return {
        publicKey: concat(m.publicKey, x.publicKey),
        privateKeys: [m.privateKey, x.privateKey],
      }
    },
    async encapsulate(publicKey) {
      const peer = publicKey.subarray(ML_KEM_PUBLIC)
      const m = await mlKem.encapsulate(publicKey.slice(0, ML_KEM_PUBLIC))
      const ephemeral = await generateDh('X25519', false)
      const secret = await agree('X25519', ephemeral.privateKey, peer)
      return {
        encapsulated: concat(m.ciphertext, ephemeral.publicKey),
        sharedSecret: combine(m.sharedSecret, secret, ephemeral.publicKey, peer),
      }
    },
    async decapsulate({ publicKey, privateKeys: [mlKemKey, x25519Key] }, encapsulated) {
      const ciphertext = encapsulated.subarray(ML_KEM_CIPHERTEXT)
      const [m, x] = await Promise.all([
        mlKem.decapsulate(mlKemKey, encapsulated.slice(0, ML_KEM_CIPHERTEXT)),
        agree('X25519', x25519Key as CryptoKey, ciphertext),
      ])
      return combine(m, x, ciphertext, publicKey.subarray(ML_KEM_PUBLIC))
    },
  }
}
