// Wycheproof's signatures through our verifiers, and the edge cases of Ed25519 of CCTV, with the same verdict in every engine.
import { expect, test } from 'vitest'
import cctv from 'virtual:suite/cctv/ed25519vectors'
import ed25519 from 'virtual:suite/wycheproof/ed25519_test'
import p1363 from 'virtual:suite/wycheproof/ecdsa_secp256r1_sha256_p1363_test'
import p256 from 'virtual:suite/wycheproof/ecdsa_secp256r1_sha256_test'
import p384 from 'virtual:suite/wycheproof/ecdsa_secp384r1_sha384_test'
import rsa2048 from 'virtual:suite/wycheproof/rsa_signature_2048_sha256_test'
import rsa3072 from 'virtual:suite/wycheproof/rsa_signature_3072_sha256_test'
import rsa4096 from 'virtual:suite/wycheproof/rsa_signature_4096_sha256_test'
import rsa4096Long from 'virtual:suite/wycheproof/rsa_signature_4096_sha512_test'
import { concat, fromHex, hex, utf8 } from '../../../shared/bytes.ts'
import {
  verifyCertificateSignature,
  type CertificateAlgorithm,
} from '../../../shared/certificate-signature.ts'
import { sha256 } from '../../../shared/hash.ts'
import { installSubtle, nodeCrypto, subtle } from '../../../shared/platform.ts'
import { importVerifyKey, verifySignature } from '../../../shared/signature.ts'
import { attempt, cases, conform, type Wycheproof } from './support.ts'

type Group = { publicKeyDer: string }
type Signed = { msg: string; sig: string }
type Suite = Wycheproof<Group, Signed>
type Entry = ReturnType<typeof cases<Group, Signed>>[0]

/** Signatures of which Node's own crypto and WebCrypto say different things. */
const disputed: string[] = []

/** The verdict of what is used here; on Node that of WebCrypto is asked for as well. */
async function verify(...[key, signature, data]: Parameters<typeof verifySignature>) {
  const verdict = await verifySignature(key, signature, data)
  if (nodeCrypto() === undefined) return verdict
  installSubtle(subtle())
  try {
    if ((await verifySignature(key, signature, data)) !== verdict) disputed.push(hex(signature))
  } finally {
    installSubtle(undefined)
  }
  return verdict
}

/** Documents: 64 bytes. */
for (const [name, suite] of [
  ['Wycheproof Ed25519', ed25519],
  ['Wycheproof ECDSA P-256, r || s', p1363],
] as const) {
  conform<Suite, Entry>(name, suite, cases, async ({ group, one }) => {
    const valid = await attempt(async () => {
      const key = await importVerifyKey(fromHex(group.publicKeyDer))
      return verify(key, fromHex(one.sig), fromHex(one.msg))
    })
    return (valid ?? false) === (one.result === 'valid')
  })
}

/** Certificates and lists: what X.509 writes. */
for (const [name, suite, alg] of [
  ['Wycheproof ECDSA P-256, DER', p256, 'ES256'],
  ['Wycheproof ECDSA P-384, DER', p384, 'ES384'],
  ['Wycheproof RSA 2048, SHA-256', rsa2048, 'RS256'],
  ['Wycheproof RSA 3072, SHA-256', rsa3072, 'RS256'],
  ['Wycheproof RSA 4096, SHA-256', rsa4096, 'RS256'],
  ['Wycheproof RSA 4096, SHA-512', rsa4096Long, 'RS512'],
] as const satisfies [string, unknown, CertificateAlgorithm][]) {
  conform<Suite, Entry>(name, suite, cases, async ({ group, one }) => {
    const signature = fromHex(one.sig)
    const valid = await attempt(() =>
      verifyCertificateSignature(fromHex(group.publicKeyDer), { alg, signature }, fromHex(one.msg)),
    )
    // What is "acceptable" is a digest without its NULL parameter: RFC 8017 lets a verifier refuse it.
    return (valid ?? false) === (one.result === 'valid')
  })
}

interface Cctv {
  number: number
  key: string
  sig: string
  msg: string
  flags: string[] | null
}

/** Numbers of the signatures of CCTV that are accepted, in ascending order, and their SHA-256 as JSON. A choice: see `[path-9]`. */
const ACCEPTED = {
  count: 43,
  hash: 'd5867a987d85b644f3a9e72691ff2f2c4647dedef4e8958d68c1f459c3f85d0b',
}

const verdicts: number[] = []
conform<Cctv[], Cctv>(
  'CCTV Ed25519',
  cctv,
  (all) => all,
  async ({ number, key, sig, msg, flags }) => {
    const valid = await attempt(async () => {
      const spki = concat(fromHex('302a300506032b6570032100'), fromHex(key))
      return verify(await importVerifyKey(spki), fromHex(sig), utf8(msg))
    })
    if (valid === true) verdicts.push(number)
    const weak = (flags ?? []).some((flag) => flag === 'low_order_A' || flag === 'low_order_R')
    return !(weak && valid === true)
  },
)
test.skipIf(cctv === null)('[path-9] every engine accepts the same signatures of CCTV', () => {
  const hash = hex(sha256(utf8(JSON.stringify(verdicts.toSorted((a, b) => a - b)))))
  expect({ count: verdicts.length, hash }).toEqual(ACCEPTED)
})
test("[path-9] Node's own crypto and WebCrypto accept the same signatures", () => {
  expect(disputed).toEqual([])
})
