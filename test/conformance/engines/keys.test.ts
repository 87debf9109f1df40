// Key derivation, wrapping, key agreement and HPKE of others through what Keyferry calls, in every engine.
import aesWrap from 'virtual:suite/wycheproof/aes_wrap_test'
import hkdf from 'virtual:suite/wycheproof/hkdf_sha256_test'
import hkdfLong from 'virtual:suite/wycheproof/hkdf_sha512_test'
import hmac from 'virtual:suite/wycheproof/hmac_sha256_test'
import gcm from 'virtual:suite/wycheproof/aes_gcm_test'
import x25519 from 'virtual:suite/wycheproof/x25519_test'
import p256 from 'virtual:suite/wycheproof/ecdh_secp256r1_ecpoint_test'
import mlKem from 'virtual:suite/wycheproof/mlkem_768_test'
import rfc9180 from 'virtual:suite/hpke/rfc9180-full'
import pq from 'virtual:suite/hpke/hpke-pq'
import { shake256 } from '@noble/hashes/sha3.js'
import { concat, equal, fromHex, hex, type Bytes } from '../../../shared/bytes.ts'
import { createHpke } from '../../../shared/hpke.ts'
import { type Suite } from '../../../shared/trust.ts'
import { createXWing } from '../../../shared/x-wing.ts'
import { nobleMlKem } from '../../../shared/ml-kem-noble.ts'
import { subtle } from '../../../shared/platform.ts'
import { attempt, cases, conform } from './support.ts'

const at = (text: string): Bytes => fromHex(text)

type Wrap = { key: string; msg: string; ct: string }
conform(
  'Wycheproof AES-KW, 256 bits',
  aesWrap,
  cases<{ keySize: number }, Wrap>,
  async ({ group, one }) => {
    // Keyferry wraps keys of 32 bytes (and names of 64) under keys of 32.
    if (group.keySize !== 256 || ![32, 64].includes(one.msg.length / 2)) return undefined
    const out = await attempt(async () => {
      const key = await subtle().importKey('raw', at(one.key), 'AES-KW', false, ['unwrapKey'])
      const hash = { name: 'HMAC', hash: 'SHA-256' }
      const secret = await subtle().unwrapKey('raw', at(one.ct), key, 'AES-KW', hash, true, [
        'sign',
      ])
      return hex(new Uint8Array(await subtle().exportKey('raw', secret)))
    })
    return one.result === 'invalid' ? out === undefined : out === one.msg
  },
)

type Hkdf = { ikm: string; salt: string; info: string; size: number; okm: string }
for (const [name, suite, hash] of [
  ['Wycheproof HKDF-SHA-256', hkdf, 'SHA-256'],
  ['Wycheproof HKDF-SHA-512', hkdfLong, 'SHA-512'],
] as const) {
  conform(name, suite, cases<object, Hkdf>, async ({ one }) => {
    const out = await attempt(async () => {
      const key = await subtle().importKey('raw', at(one.ikm), 'HKDF', false, ['deriveBits'])
      const algorithm = { name: 'HKDF', hash, salt: at(one.salt), info: at(one.info) }
      return hex(new Uint8Array(await subtle().deriveBits(algorithm, key, 8 * one.size)))
    })
    return one.result === 'invalid' ? out === undefined : out === one.okm
  })
}

type Mac = { key: string; msg: string; tag: string }
conform(
  'Wycheproof HMAC-SHA-256',
  hmac,
  cases<{ tagSize: number }, Mac>,
  async ({ group, one }) => {
    if (group.tagSize !== 256) return undefined
    const out = await attempt(async () => {
      const algorithm = { name: 'HMAC', hash: 'SHA-256' }
      const key = await subtle().importKey('raw', at(one.key), algorithm, false, ['verify'])
      return subtle().verify('HMAC', key, at(one.tag), at(one.msg))
    })
    return (out ?? false) === (one.result === 'valid')
  },
)

type Gcm = { key: string; iv: string; aad: string; msg: string; ct: string; tag: string }
type GcmGroup = { keySize: number; ivSize: number; tagSize: number }
conform('Wycheproof AES-256-GCM', gcm, cases<GcmGroup, Gcm>, async ({ group, one }) => {
  if (group.keySize !== 256 || group.ivSize !== 96) return undefined
  const out = await attempt(async () => {
    const key = await subtle().importKey('raw', at(one.key), 'AES-GCM', false, ['decrypt'])
    const algorithm = { name: 'AES-GCM', iv: at(one.iv), additionalData: at(one.aad) }
    return hex(new Uint8Array(await subtle().decrypt(algorithm, key, at(one.ct + one.tag))))
  })
  return one.result === 'valid' ? out === one.msg : out === undefined
})

type Agreement = { public: string; private: string; shared: string }
conform('Wycheproof X25519', x25519, cases<object, Agreement>, async ({ one }) => {
  const out = await attempt(async () => {
    const pkcs8 = concat(at('302e020100300506032b656e04220420'), at(one.private))
    const key = await subtle().importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits'])
    const peer = await subtle().importKey('raw', at(one.public), 'X25519', false, [])
    return hex(
      new Uint8Array(await subtle().deriveBits({ name: 'X25519', public: peer }, key, 256)),
    )
  })
  // RFC 9180 §7.1.4: an all-zero secret is refused.
  return /^0+$/.test(one.shared) ? out === undefined : out === one.shared
})

conform('Wycheproof ECDH P-256', p256, cases<object, Agreement>, async ({ one }) => {
  const curve = { name: 'ECDH', namedCurve: 'P-256' }
  // A private key goes in with its own public point, which WebCrypto wants to see: so only the peer's point is looked at.
  const peer = await attempt(() => subtle().importKey('raw', at(one.public), curve, false, []))
  const isUncompressed = one.public.startsWith('04') && one.public.length === 130
  if (one.result === 'valid') return peer !== undefined
  return isUncompressed && one.result === 'invalid' ? peer === undefined : undefined
})

type MlKem = { seed: string; c: string; K: string; ek?: string }
conform('Wycheproof ML-KEM-768, decapsulation', mlKem, cases<object, MlKem>, async ({ one }) => {
  const out = await attempt(() => {
    return nobleMlKem.decapsulate({ seed: at(one.seed), wrapping: null }, at(one.c))
  })
  return one.result === 'valid' ? out !== undefined && hex(out) === one.K : out === undefined
})

interface Hpke {
  kem_id: number
  skRm: string
  pkRm: string
  enc: string
  info: string
  shared_secret: string
  encryptions: { aad: string; ct: string; pt: string }[]
}

/** DHKEM private keys as WebCrypto keys that cannot be read. */
async function privateKeyOf({ kem_id, skRm, pkRm }: Hpke): Promise<CryptoKey> {
  if (kem_id === 0x20) {
    const pkcs8 = concat(at('302e020100300506032b656e04220420'), at(skRm))
    return subtle().importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits'])
  }
  const head = '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420'
  const pkcs8 = concat(at(head), at(skRm), at('a144034200'), at(pkRm))
  return subtle().importKey('pkcs8', pkcs8, { name: 'ECDH', namedCurve: 'P-256' }, false, [
    'deriveBits',
  ])
}

conform<Hpke[], Hpke>(
  'RFC 9180, base mode of our suites',
  rfc9180,
  (all) => all,
  async (one) => {
    const suite: Suite = one.kem_id === 0x20 ? 'X25519' : 'P-256'
    const recipient = { suite, publicKey: at(one.pkRm), privateKeys: [await privateKeyOf(one)] }
    const hpke = createHpke(suite)
    const [{ aad, ct, pt }] = one.encryptions as [Hpke['encryptions'][0]]
    const open = (info: string) => hpke.open(recipient, at(one.enc), at(ct), at(info), at(aad))
    const plain = await attempt(() => open(one.info))
    const forged = await attempt(() => open(`${one.info}00`))
    return plain !== undefined && hex(plain) === pt && forged === undefined
  },
)

conform<Hpke[], Hpke>(
  'HPKE post-quantum, X-Wing',
  pq,
  (all) => all.filter((one) => one.kem_id === 0x647a),
  async (one) => {
    // draft-connolly-cfrg-xwing-kem: 32 bytes are expanded to the seed of ML-KEM and the X25519 key.
    const seed = Uint8Array.from(shake256(at(one.skRm), { dkLen: 96 }))
    const x = concat(at('302e020100300506032b656e04220420'), seed.subarray(64))
    const privateKeys = [
      { seed: seed.slice(0, 64), wrapping: null },
      await subtle().importKey('pkcs8', x, 'X25519', false, ['deriveBits']),
    ]
    const kem = createXWing(nobleMlKem)
    const secret = await kem.decapsulate({ publicKey: at(one.pkRm), privateKeys }, at(one.enc))
    return equal(secret, at(one.shared_secret))
  },
)
