/**
 * A key wrapped as a key service or an HSM takes it in: RSA-OAEP (RFC 8017), AES key wrap with padding (RFC 5649), and both together, which is
 * CKM_RSA_AES_KEY_WRAP of PKCS#11 2.40.
 */
import {
  constants,
  createCipheriv,
  createHash,
  createPublicKey,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from 'node:crypto'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodePem } from '../shared/pem.ts'

/** Whom keys are wrapped for. */
export const TARGETS = ['aws-kms', 'gcp-kms', 'azure-keyvault', 'pkcs11'] as const
export type Target = (typeof TARGETS)[number]

/** Methods by target, the default first. Names are the vendors'. */
export const METHODS: Record<Target, readonly string[]> = {
  'aws-kms': ['RSAES_OAEP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_256'],
  'gcp-kms': [
    'rsa-oaep-4096-sha256',
    'rsa-oaep-3072-sha256',
    'rsa-oaep-4096-sha256-aes-256',
    'rsa-oaep-3072-sha256-aes-256',
  ],
  'azure-keyvault': ['CKM_RSA_AES_KEY_WRAP'],
  pkcs11: ['CKM_RSA_AES_KEY_WRAP', 'CKM_RSA_AES_KEY_WRAP-SHA-1', 'CKM_AES_KEY_WRAP_KWP'],
}

/** What a key is wrapped for. */
export interface WrapRequest {
  target: Target
  method: string
  /** The file of the wrapping key: RSA public key as PEM or DER; for CKM_AES_KEY_WRAP_KWP 32 bytes. */
  wrappingKey: Bytes
  /** Azure: the identifier of the key exchange key. */
  kid?: string
}

/** A wrapped key as a file, and the wrapping key's fingerprint in hex: SHA-256 of its SubjectPublicKeyInfo; of an AES key none. */
export interface Wrapped {
  bytes: Bytes
  fingerprint: string
  /** How the file's name ends. */
  ending: string
}

/** RFC 5649 §3. */
const KWP_IV = Buffer.from('a65959a6', 'hex')

function aesWrap(wrapping: Uint8Array, secret: Uint8Array): Buffer {
  const cipher = createCipheriv('id-aes256-wrap-pad', wrapping, KWP_IV)
  return Buffer.concat([cipher.update(secret), cipher.final()])
}

function oaep(key: KeyObject, secret: Uint8Array, oaepHash: 'sha1' | 'sha256'): Buffer {
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, secret)
}

/** CKM_RSA_AES_KEY_WRAP: a new AES-256 key under RSA, and the secret under that. */
function rsaAes(key: KeyObject, secret: Uint8Array, hash: 'sha1' | 'sha256'): Buffer {
  const ephemeral = randomBytes(32)
  try {
    return Buffer.concat([oaep(key, ephemeral, hash), aesWrap(ephemeral, secret)])
  } finally {
    ephemeral.fill(0)
  }
}

function rsaKey(file: Bytes): KeyObject {
  let key: KeyObject
  try {
    const der = file[0] === 0x30 ? file : decodePem(new TextDecoder().decode(file), 'PUBLIC KEY')[0]
    key = createPublicKey({ key: Buffer.from(der!), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new KeyferryError('ERR_USAGE', 'the wrapping key is no public key as PEM or DER', {
      cause,
    })
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType !== 'rsa' || ![2048, 3072, 4096].includes(bits))
    throw new KeyferryError(
      'ERR_USAGE',
      'the wrapping key is no RSA key of 2048, 3072 or 4096 bits',
    )
  return key
}

function requireBits(key: KeyObject, bits: number, method: string): void {
  if (key.asymmetricKeyDetails?.modulusLength !== bits)
    throw new KeyferryError('ERR_USAGE', `${method} takes an RSA key of ${bits} bits`, {
      hint: 'the import method and the wrapping key belong to one import job',
    })
}

/** The Key Transfer Blob of Azure's "Bring your own key specification". */
function transferBlob(kid: string, ciphertext: Buffer): Buffer {
  const blob = {
    schema_version: '1.0.0',
    header: { kid, alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
    ciphertext: ciphertext.toString('base64url'),
    generator: 'Keyferry',
  }
  return Buffer.from(JSON.stringify(blob))
}

function wrapRsa(
  { target, method, kid }: WrapRequest,
  key: KeyObject,
  secret: Bytes,
): { bytes: Buffer; ending: string } {
  switch (target) {
    case 'aws-kms':
      return {
        bytes:
          method === 'RSAES_OAEP_SHA_256'
            ? oaep(key, secret, 'sha256')
            : rsaAes(key, secret, 'sha256'),
        ending: 'aws-kms.bin',
      }
    case 'gcp-kms': {
      requireBits(key, method.includes('4096') ? 4096 : 3072, method)
      const isBoth = method.endsWith('-aes-256')
      return { bytes: (isBoth ? rsaAes : oaep)(key, secret, 'sha256'), ending: 'gcp-kms.bin' }
    }
    case 'azure-keyvault': {
      if (kid === undefined || !/^https:\/\/[\x21-\x7e]{1,500}$/.test(kid))
        throw new KeyferryError(
          'ERR_USAGE',
          'azure-keyvault: --kid is the identifier of the key exchange key',
          {
            hint: 'az keyvault key show --query key.kid prints it',
          },
        )
      return { bytes: transferBlob(kid, rsaAes(key, secret, 'sha1')), ending: 'byok' }
    }
    case 'pkcs11':
      return {
        bytes: rsaAes(key, secret, method.endsWith('-SHA-1') ? 'sha1' : 'sha256'),
        ending: 'pkcs11.bin',
      }
  }
}

/** Wraps a secret. Throws `ERR_USAGE` for a wrapping key or method that does not fit, `ERR_TOO_LARGE` for what RSA cannot hold. */
export function wrapFor(request: WrapRequest, secret: Bytes): Wrapped {
  if (!METHODS[request.target].includes(request.method))
    throw new KeyferryError(
      'ERR_USAGE',
      `${request.target} takes ${METHODS[request.target].join(', ')}`,
    )
  if (request.method === 'CKM_AES_KEY_WRAP_KWP') {
    if (request.wrappingKey.length !== 32)
      throw new KeyferryError(
        'ERR_USAGE',
        'CKM_AES_KEY_WRAP_KWP takes an AES-256 key: a file of 32 bytes',
      )
    const bytes = new Uint8Array(aesWrap(request.wrappingKey, secret))
    return { bytes, fingerprint: 'an AES key', ending: 'pkcs11.bin' }
  }
  const key = rsaKey(request.wrappingKey)
  const spki = key.export({ format: 'der', type: 'spki' })
  try {
    const { bytes, ending } = wrapRsa(request, key, secret)
    return {
      bytes: new Uint8Array(bytes),
      fingerprint: createHash('sha256').update(spki).digest('hex'),
      ending,
    }
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError(
      'ERR_TOO_LARGE',
      'the key is too long for this method: take one with AES',
      { cause },
    )
  }
}
