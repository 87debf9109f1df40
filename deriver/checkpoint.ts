/**
 * The log's head for other people's tools: a checkpoint (c2sp.org/tlog-checkpoint) in a signed note (c2sp.org/signed-note). The text of a note never
 * begins as what a deriver's key signs else does, so that one cannot be taken for the other.
 */
import { concat, utf8, type Bytes } from '../shared/bytes.ts'
import { sha256 } from '../shared/hash.ts'
import { ecdsaToDer, signBytes, spkiPrefix, type SigningKey } from '../shared/signature.ts'

/** Signature types of signed notes. */
const ED25519 = 1
const ECDSA = 2

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** Origin line and key name of a tenant's log. */
function checkpointOrigin(tenant: string): string {
  return `keyferry/${tenant}`
}

/** The key as the public key of a note: with Ed25519 its 32 bytes, with P-256 the SubjectPublicKeyInfo; and its id, 4 bytes. */
function noteKey(name: string, { alg, spki }: SigningKey): { id: Bytes; key: Bytes; type: number } {
  if (alg === 'ES256') return { id: sha256(spki).slice(0, 4), key: spki, type: ECDSA }
  const key = spki.slice(spkiPrefix('Ed25519').prefix.length)
  const named = concat(utf8(`${name}\n`), Uint8Array.of(ED25519), key)
  return { id: sha256(named).slice(0, 4), key, type: ED25519 }
}

/** The verifier key of a note, as Go's sumdb/note and others take it. */
export function verifierKey(tenant: string, signer: SigningKey): string {
  const name = checkpointOrigin(tenant)
  const { id, key, type } = noteKey(name, signer)
  return `${name}+${Buffer.from(id).toString('hex')}+${base64(concat(Uint8Array.of(type), key))}`
}

/** A checkpoint of a log. Ed25519 signs the text (type 0x01), P-256 with SHA-256 in DER (type 0x02). */
export async function signCheckpoint(
  tenant: string,
  log: { root: Bytes; size: number },
  signer: SigningKey,
): Promise<string> {
  const origin = checkpointOrigin(tenant)
  const text = `${origin}\n${log.size}\n${base64(log.root)}\n`
  const raw = await signBytes(signer, utf8(text))
  const signature = signer.alg === 'ES256' ? ecdsaToDer(raw) : raw
  const { id } = noteKey(origin, signer)
  return `${text}\n— ${origin} ${base64(concat(id, signature))}\n`
}
