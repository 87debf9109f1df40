/** Sender signatures from fixed seeds: what is signed, by whom, and whom a verifier believes. */
import { concat, fromBase32, utf8, type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { decodeEnvelope, type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { encryptMessage } from '../../shared/message.ts'
import {
  signData,
  signMessage,
  type Claim,
  type MessageStatement,
  type SenderContext,
  type Statement,
} from '../../shared/sender.ts'
import { subtle } from '../../shared/platform.ts'
import { encodeClaim } from '../../shared/signed-message.ts'
import { deriveMessageKey } from '../../shared/unwrap.ts'
import { seeded } from './fixtures-keys.ts'
import { makeCrl, NOW, type Identity, type Tenant } from './fixtures.ts'

export const DATA: Bytes = utf8('the data')
export const CONTEXT: Bytes = utf8('contract/7')
export const KEYRING: Bytes = seeded('keyring of senders', 16)
export const KEY_ID: Bytes = seeded('key of senders')
export const SALT: Bytes = seeded('salt of senders', 24)

/** What is signed of {@link DATA}. */
export function statementOf({ trust }: Tenant, edit: Partial<Statement> = {}): Statement {
  const { tenant } = trust
  return { tenant, keyring: KEYRING, content: sha256(DATA), context: sha256(CONTEXT), ...edit }
}

/** What is signed inside {@link makeSigned}. */
export function messageStatement(tenant: Tenant): MessageStatement {
  return { ...statementOf(tenant), key: KEY_ID, salt: SALT }
}

/** Whom a verifier believes, with the first lists. */
export async function senderContext(
  tenant: Tenant,
  edit: Partial<SenderContext> = {},
): Promise<SenderContext> {
  const crls = [await makeCrl(tenant.derivers), await makeCrl(tenant.clients)].map((der) =>
    parseCrl(der),
  )
  return {
    trust: tenant.trust,
    manifest: { rules: ['keyferry://client.acme.example/*'] },
    now: NOW,
    lists: () => Promise.resolve(crls),
    ...edit,
  }
}

/** A signature of {@link DATA} beside it. */
export async function makeSignature(
  tenant: Tenant,
  identity: Identity,
  edit: Partial<Statement> = {},
  signedAt = NOW,
): Promise<Envelope> {
  return decodeEnvelope(await signData(statementOf(tenant, edit), identity, signedAt))
}

export const claimOf = ({ certificates }: Identity, signedAt = NOW): Claim => ({
  certificates,
  signedAt,
})

/** The plaintext of a signed message of {@link DATA}, or of other data. */
export async function makeFrame(
  tenant: Tenant,
  identity: Identity,
  data: Bytes = DATA,
  edit: Partial<MessageStatement> = {},
): Promise<Bytes> {
  const claim = claimOf(identity)
  const statement = { ...messageStatement(tenant), content: sha256(data), ...edit }
  return concat(encodeClaim(claim), data, await signMessage(statement, claim, identity.key))
}

/** The message key of a version secret. */
export async function messageKey(tenant: Tenant, secret: Bytes): Promise<CryptoKey> {
  const hkdf = await subtle().importKey('raw', secret, 'HKDF', false, ['deriveKey'])
  const names = { tenant: fromBase32(tenant.trust.tenant), keyring: KEYRING }
  return deriveMessageKey(hkdf, names, KEY_ID)
}

/** A signed message of a plaintext. */
export async function makeSigned(tenant: Tenant, secret: Bytes, frame: Bytes): Promise<Bytes> {
  return encryptMessage(await messageKey(tenant, secret), KEY_ID, CONTEXT, SALT, frame, true)
}
