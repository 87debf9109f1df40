/** Requests and refusals of a test world. */
import { type Bytes } from '../../shared/bytes.ts'
import { type DestructionBody } from '../../shared/destruction.ts'
import { signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type KeyRequestBody } from '../../shared/key-package.ts'
import { type RefusalBody } from '../../shared/refusal.ts'
import { DAY, random, type Client, type World } from './world.ts'

/** Signs a key request. */
export function makeRequest(
  world: World,
  client: Client,
  keyrings: Bytes[],
  changes: Partial<KeyRequestBody> = {},
): Promise<Envelope> {
  const body: KeyRequestBody = {
    expiresAt: world.now + 600,
    issuedAt: world.now,
    keyrings,
    nonce: random(16),
    package: client.packageHash,
    signer: client.fingerprint,
    tenant: world.tenant,
    ...changes,
  }
  return signWithCertificate('request', body, client.signer.key, client.signer.certificates)
}

/** Signs a refusal by the deriver. */
export function makeRefusal(
  world: World,
  recipient: Bytes,
  keyring: Bytes,
  changes: Partial<RefusalBody> = {},
): Promise<Envelope> {
  const { key, certificates } = world.deriver
  const body: RefusalBody = {
    expiresAt: world.now + 3_600,
    head: { incarnation: 1, version: 1 },
    issuedAt: world.now,
    keyring,
    kind: 'denied',
    nonce: random(16),
    reason: 'no rule covers this client',
    recipient,
    release: new Uint8Array(),
    signer: sha256(certificates[0]!),
    tenant: world.tenant,
    ...changes,
  }
  return signWithCertificate('refusal', body, key, certificates)
}

/** Signs the record of a destroyed version. */
export function makeDestruction(
  world: World,
  changes: Partial<DestructionBody> = {},
): Promise<Envelope> {
  const { key, certificates } = world.deriver
  const body: DestructionBody = {
    completedAt: world.now,
    erasedAt: world.now - 31 * DAY,
    keyId: random(32),
    keyring: random(16),
    orderedAt: world.now - 31 * DAY,
    retention: 0,
    signer: sha256(certificates[0]!),
    tenant: world.tenant,
    version: { incarnation: 1, version: 1 },
    ...changes,
  }
  return signWithCertificate('destruction', body, key, certificates)
}
