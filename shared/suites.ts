/** HPKE suites of key packages, in numbers (docs/PROTOCOL.md, "Key package and request"): all with HKDF-SHA256 and AES-256-GCM. */
import type { Suite } from './trust.ts'

/** Bytes of a public key. */
export const PUBLIC_KEY_LENGTH: Record<Suite, number> = {
  'MLKEM768-X25519': 1_216,
  X25519: 32,
  'P-256': 65,
}

/** HPKE KEM identifiers. */
export const KEM_ID: Record<Suite, number> = {
  'MLKEM768-X25519': 0x647a,
  X25519: 0x0020,
  'P-256': 0x0010,
}
