/** DHKEM of X25519 and of P-256 with HKDF-SHA256 (RFC 9180 §4.1), on WebCrypto keys that need not be readable. */
import { concat, u16, utf8, type Bytes } from './bytes.ts'
import { labeledExpand, labeledExtract } from './hkdf.ts'
import type { Kem } from './hpke.ts'
import { subtle } from './platform.ts'
import { KEM_ID } from './suites.ts'

type Curve = 'X25519' | 'P-256'

const ALGORITHMS: Record<Curve, { name: string; namedCurve?: string }> = {
  X25519: { name: 'X25519' },
  'P-256': { name: 'ECDH', namedCurve: 'P-256' },
}

/** A key pair to agree with, the public one as bytes. */
export async function generateDh(
  curve: Curve,
  extractable: boolean,
): Promise<{ publicKey: Bytes; privateKey: CryptoKey }> {
  const usages: KeyUsage[] = ['deriveBits']
  const generated = await subtle().generateKey(ALGORITHMS[curve], extractable, usages)
  const { privateKey, publicKey } = generated as CryptoKeyPair
  return { privateKey, publicKey: new Uint8Array(await subtle().exportKey('raw', publicKey)) }
}

/** What two keys agree on: 32 bytes. Rejects for a public key that is not on the curve, and for an X25519 one that contributes nothing. */
export async function agree(curve: Curve, privateKey: CryptoKey, peer: Bytes): Promise<Bytes> {
  // Some platforms also read points in other encodings, which HPKE does not have.
  if (curve === 'P-256' && peer[0] !== 4) throw new TypeError('not an uncompressed point')
  const algorithm = ALGORITHMS[curve]
  const key = await subtle().importKey('raw', peer, algorithm, false, [])
  const options = { name: algorithm.name, public: key }
  return new Uint8Array(await subtle().deriveBits(options, privateKey, 256))
}

/** The KEM of a curve. */
export function createDhKem(curve: Curve): Kem {
  const id = concat(utf8('KEM'), u16(KEM_ID[curve]))
  const extractAndExpand = (dh: Bytes, encapsulated: Bytes, publicKey: Bytes): Bytes => {
    const prk = labeledExtract(id, new Uint8Array(), 'eae_prk', dh)
    dh.fill(0)
    return labeledExpand(id, prk, 'shared_secret', concat(encapsulated, publicKey))
  }
  return {
    async generate(extractable) {
      const { publicKey, privateKey } = await generateDh(curve, extractable)
      return { publicKey, privateKeys: [privateKey] }
    },
    async encapsulate(publicKey) {
      const ephemeral = await generateDh(curve, false)
      const dh = await agree(curve, ephemeral.privateKey, publicKey)
      const encapsulated = ephemeral.publicKey
      return { encapsulated, sharedSecret: extractAndExpand(dh, encapsulated, publicKey) }
    },
    async decapsulate({ publicKey, privateKeys }, encapsulated) {
      const dh = await agree(curve, privateKeys[0] as CryptoKey, encapsulated)
      return extractAndExpand(dh, encapsulated, publicKey)
    },
  }
}
