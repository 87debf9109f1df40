/**
 * What stands around the data inside a signed message (docs/PROTOCOL.md, "Sender signatures"): who signed before it, so that a stream can be refused
 * before its first byte, and the signature behind it.
 *
 *   struct {
 *     uint16 length;          of what follows up to the data; 16382 at most, so that all of it is in chunk 0
 *     uint64 signed_at;
 *     opaque certificates[];  1 to 4, each after its length as uint16
 *     opaque data[];
 *     opaque signature[64];
 *   }
 */
import { concat, Reader, u16, u64, type Bytes } from './bytes.ts'
import { CHUNK_LENGTH, requirePiece, SALT_LENGTH } from './chunk.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { createSha256 } from './hash.ts'
import { lengthPrefixed } from './kdf.ts'
import { MAX_CERTIFICATES } from './limits.ts'
import { MESSAGE_HEADER_LENGTH, parseMessageHeader } from './message.ts'
import type { Claim, ClaimedSender, MessageStatement, Sender } from './sender.ts'

/** Bytes of a signature. */
export const SIGNATURE_LENGTH = 64

/** What stands before the data. Throws `ERR_TOO_LARGE` for certificates that leave no room in the first chunk. */
export function encodeClaim({ certificates, signedAt }: Claim): Bytes {
  const body = concat(u64(signedAt), ...certificates.map(lengthPrefixed))
  // PROTOCOL [sign-7]
  if (body.length > CHUNK_LENGTH - 2)
    throw new KeyferryError('ERR_TOO_LARGE', 'the certificates are too large for a message')
  return concat(u16(body.length), body)
}

/** How many bytes stand before the data in a plaintext, of which the first chunk is here. Throws `ERR_MALFORMED`. */
export function claimLength(chunk: Bytes): number {
  return 2 + new Reader(chunk).u16()
}

/** Reads what stands before the data in a plaintext, of which the first chunk is here. Throws `ERR_MALFORMED`. */
export function decodeClaim(chunk: Bytes): Claim {
  // PROTOCOL [sign-7]: of a whole plaintext as of its first chunk
  const outer = new Reader(chunk.subarray(0, CHUNK_LENGTH))
  const reader = new Reader(outer.take(outer.u16()))
  const signedAt = reader.u64()
  const certificates: Bytes[] = []
  // PROTOCOL [sign-7]
  while (reader.left > 0) certificates.push(reader.take(reader.u16()).slice())
  if (certificates.length < 1 || certificates.length > MAX_CERTIFICATES)
    throw new KeyferryError('ERR_MALFORMED', 'not 1 to 4 certificates')
  return { certificates, signedAt }
}

/** What of a message's beginning is signed. */
export function boundOf(prefix: Bytes): Pick<MessageStatement, 'key' | 'salt'> {
  const { keyId } = parseMessageHeader(prefix)
  return {
    key: keyId,
    salt: prefix.slice(MESSAGE_HEADER_LENGTH, MESSAGE_HEADER_LENGTH + SALT_LENGTH),
  }
}

/** The data of a whole signed plaintext, once `open` took the claim and the signature verifies. Throws `ERR_MALFORMED`, and what they throw. */
export async function openFrame(
  plaintext: Bytes,
  open: (claim: Claim) => Promise<ClaimedSender>,
): Promise<{ data: Bytes; sender: Sender | null }> {
  const start = claimLength(plaintext)
  const end = plaintext.length - SIGNATURE_LENGTH
  // PROTOCOL [sign-7]
  if (end < start) throw new KeyferryError('ERR_MALFORMED', 'no signature')
  const claimed = await open(decodeClaim(plaintext))
  const data = plaintext.slice(start, end)
  return { data, sender: await claimed.confirm(await digest(data), plaintext.slice(end)) }
}

/** The same for plaintext that comes chunk by chunk. */
export interface FrameReader {
  /** The data of the next chunk, as far as they cannot be the signature. */
  take: (chunk: Bytes) => Promise<Bytes>
  /** Verifies the signature over all of it. */
  end: () => Promise<Sender | null>
}

/** Reads a signed plaintext chunk by chunk. Both steps throw as {@link openFrame}. */
export function createFrameReader(open: (claim: Claim) => Promise<ClaimedSender>): FrameReader {
  const hash = createSha256()
  let claimed: ClaimedSender | undefined
  /** What may yet be the signature. */
  let kept: Bytes = new Uint8Array()
  return {
    async take(chunk) {
      let rest = chunk
      if (claimed === undefined) {
        claimed = await open(decodeClaim(chunk))
        rest = chunk.subarray(claimLength(chunk))
      }
      const both = concat(kept, rest)
      const end = Math.max(0, both.length - SIGNATURE_LENGTH)
      kept = both.slice(end)
      const data = both.slice(0, end)
      hash.update(data)
      return data
    },
    async end() {
      // PROTOCOL [sign-7]
      if (kept.length < SIGNATURE_LENGTH) throw new KeyferryError('ERR_MALFORMED', 'no signature')
      return claimed!.confirm(hash.digest(), kept)
    },
  }
}

/** A signature that was begun: what stands before the data, and what makes the signature of their SHA-256. */
export interface Begun {
  claim: Bytes
  sign: (content: Bytes) => Promise<Bytes>
}

/** Makes a signed plaintext piece by piece. */
export interface FrameWriter {
  claim: Bytes
  /** What is encrypted of a piece. Throws as {@link requirePiece}. */
  take: (piece: Uint8Array) => Bytes
  /** What stands behind the data. */
  end: () => Promise<Bytes>
}

/** Writes a signed plaintext piece by piece. */
export function createFrameWriter({ claim, sign }: Begun): FrameWriter {
  const hash = createSha256()
  return {
    claim,
    take(piece) {
      requirePiece(piece)
      // What is encrypted is what was hashed, whatever the caller does with its buffer; of a Buffer, a slice would be a view.
      const copy = concat(piece)
      hash.update(copy)
      return copy
    },
    end: () => sign(hash.digest()),
  }
}
