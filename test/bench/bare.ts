/** What nobody can leave out: the bare operations, in Node's own crypto, with keys imported as they have to be. */
import {
  createCipheriv,
  createHmac,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto'
import { random } from '../../deriver/random.ts'

const IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')

/** AES-256 key wrap of 32 bytes under a fresh key, and SHA-256 of a leaf: what a member is given, and its place in a tree. */
export function bareWrap(wrapping: Uint8Array, secret: Uint8Array, leaf: Uint8Array): void {
  const cipher = createCipheriv('id-aes256-wrap', createSecretKey(wrapping), IV)
  cipher.update(secret)
  cipher.final()
  hash('sha256', leaf, 'buffer')
}

/** HMAC-SHA-256 under a key in memory, and AES-256 key wrap of its result: a key that is derived, and handed on. */
export function makeBareDerive(): () => void {
  const [master, wrapping] = [createSecretKey(random(32)), createSecretKey(random(32))]
  const info = random(140)
  return () => {
    const cipher = createCipheriv('id-aes256-wrap', wrapping, IV)
    cipher.update(createHmac('sha256', master).update(info).digest())
    cipher.final()
  }
}

/** The public-key operations of X-Wing to a new recipient: a key pair, X25519, ML-KEM-768. */
export function makeBareJoin(): () => void {
  const raw = (key: KeyObject): Uint8Array =>
    key.export({ format: 'raw-public' } as never) as Uint8Array
  const dh = raw(generateKeyPairSync('x25519').publicKey)
  const kem = raw(generateKeyPairSync('ml-kem-768').publicKey)
  const read = (key: Uint8Array, asymmetricKeyType: string): KeyObject =>
    createPublicKey({ key, format: 'raw-public', asymmetricKeyType } as never)
  return () => {
    const { privateKey } = generateKeyPairSync('x25519')
    diffieHellman({ publicKey: read(dh, 'x25519'), privateKey })
    encapsulate(read(kem, 'ml-kem-768'))
  }
}
