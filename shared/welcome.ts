/** From a welcome to a channel (docs/PROTOCOL.md [open-15], [open-16]): the one step of a client that needs HPKE. */
import { decodeWelcome, welcomeInfo } from './bundle.ts'
import { equal, fromBase32, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { createHpke, type RecipientKey } from './hpke.ts'
import { channelIdInput } from './kdf.ts'
import type { MlKem } from './ml-kem.ts'
import { subtle } from './platform.ts'
import { KEM_ID } from './suites.ts'
import { HMAC_256, mac, requireChannel, type Channel } from './unwrap.ts'

/** Who a welcome is for. */
export interface WelcomeRecipient {
  /** Tenant id, as text. */
  tenant: string
  /** Fingerprint of the client's certificate. */
  fingerprint: Bytes
  packageHash: Bytes
  key: RecipientKey
  mlKem?: MlKem
}

/**
 * Opens a welcome whose hash stands in the member leaf. Throws `ERR_HASH`, `ERR_OPEN`, `ERR_SUITE` and decoding codes.
 * The channel key exists as bytes for the length of this call only.
 */
export async function openWelcome(
  bytes: Bytes,
  leaf: { welcomeHash: Bytes; channelId: Bytes },
  recipient: WelcomeRecipient,
): Promise<Channel> {
  // PROTOCOL [open-15]
  if (!equal(await digest(bytes), leaf.welcomeHash))
    throw new KeyferryError('ERR_HASH', 'not the welcome that was signed')
  const welcome = decodeWelcome(bytes)
  const { suite } = recipient.key
  if (welcome.kem !== KEM_ID[suite])
    throw new KeyferryError('ERR_SUITE', 'a welcome in another suite')
  const info = welcomeInfo(
    fromBase32(recipient.tenant),
    recipient.fingerprint,
    recipient.packageHash,
    suite,
  )
  const raw = await createHpke(suite, recipient.mlKem).open(
    recipient.key,
    welcome.encapsulated,
    welcome.ciphertext,
    info,
  )
  try {
    const key = await subtle().importKey('raw', raw, 'AES-KW', false, ['unwrapKey'])
    const id = await mac(
      await subtle().importKey('raw', raw, HMAC_256, false, ['sign']),
      channelIdInput(),
    )
    requireChannel(id, leaf.channelId)
    return { key, id, welcomeHash: leaf.welcomeHash }
  } finally {
    raw.fill(0)
  }
}
