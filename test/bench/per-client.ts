/**
 * The design that Keyferry replaces: each key encrypted for each client on its own, and signed, one row for each at the relay. Modelled after the documented
 * format of the first system of this kind: ECDH on P-256 between static keys, SHA-256, AES-256-GCM over the keys with their names as JSON, an ECDSA
 * signature over it. Its own clients compute in WebAssembly or Go; here it is Node's OpenSSL, which is faster.
 */
import {
  createCipheriv,
  createPrivateKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hash,
  sign,
} from 'node:crypto'
import { random } from '../../deriver/random.ts'

/** Returns what delivers one key to one client, and gives the bytes that the relay stores for it. */
export function makePerClient(): () => number {
  const deriver = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = createPrivateKey(deriver.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const names = {
    domain: 'u'.repeat(32),
    sender: 'd'.repeat(32),
    recipient: 'c'.repeat(32),
    keys: ['k'.repeat(32)],
  }
  return () => {
    const shared = diffieHellman({ publicKey: client.publicKey, privateKey: deriver.privateKey })
    const aad = Buffer.from(JSON.stringify(names))
    const nonce = random(12)
    const key = createSecretKey(hash('sha256', shared, 'buffer'))
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.setAAD(aad)
    const body = Buffer.concat([cipher.update(random(32)), cipher.final(), cipher.getAuthTag()])
    const blob = Buffer.concat([nonce, aad, body])
    const signature = sign('sha256', blob, signer)
    return JSON.stringify({
      ...names,
      blob: blob.toString('base64'),
      signature: signature.toString('base64'),
    }).length
  }
}
