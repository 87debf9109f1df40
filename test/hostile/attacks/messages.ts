/** Messages that were changed, moved, made up or kept: by a relay, a member of another keyring, a member that was removed (threats 3.3, W5 to W8, W12, W21). */
import { concat, fromBase32, utf8, type Bytes } from '../../../shared/bytes.ts'
import { commitInput } from '../../../shared/kdf.ts'
import { ALGORITHM } from '../../../shared/manifest.ts'
import {
  encryptMessage,
  MESSAGE_HEADER_LENGTH,
  MESSAGE_PREFIX_LENGTH,
  parseMessageHeader,
} from '../../../shared/message.ts'
import { subtle } from '../../../shared/platform.ts'
import { deriveMessageKey } from '../../../shared/unwrap.ts'
import { type Attack, type Stage } from '../../lib/hostile-stage.ts'
import { random } from '../../lib/world.ts'

const ANYBODY = 'anybody who stores the message'
const REMOVED = 'removed member'

/** Decrypts what was made of the message. */
const decrypting =
  (
    change: (message: Bytes, stage: Stage) => Bytes | Promise<Bytes>,
    context?: string,
  ): Attack['act'] =>
  async (stage) =>
    stage.notes.decrypt(
      await change(stage.message, stage),
      context === undefined ? {} : { context },
    )

const attack = (
  row: string,
  code: Attack['code'],
  act: Attack['act'],
  actor = ANYBODY,
): Attack => ({
  row,
  actor,
  code,
  victims: ['held'],
  play: () => {},
  ...(act === undefined ? {} : { act }),
})

/** A message under another key id in its header. */
const withKeyId = (message: Bytes, keyId: Bytes): Bytes =>
  concat(message.subarray(0, 8), keyId, message.subarray(MESSAGE_HEADER_LENGTH))

/** A message key out of a version secret, as any member can make it. */
export async function keyOf(
  { relay }: Stage,
  secret: Bytes,
  version: number,
): Promise<{ key: CryptoKey; keyId: Bytes }> {
  const names = { tenant: fromBase32(relay.world.tenant), keyring: relay.keyrings[0]!.id }
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const mac = await subtle().importKey('raw', secret, hmac, false, ['sign'])
  const input = commitInput({ ...names, incarnation: 1, version, algorithm: ALGORITHM })
  const keyId = new Uint8Array(await subtle().sign('HMAC', mac, input))
  const hkdf = await subtle().importKey('raw', secret, 'HKDF', false, ['deriveKey'])
  return { key: await deriveMessageKey(hkdf, names, keyId), keyId }
}

export const messages: readonly Attack[] = [
  attack(
    'W21 a changed ciphertext is not an empty success',
    'ERR_OPEN',
    decrypting((message) => message.with(message.length - 1, message.at(-1)! ^ 1)),
  ),
  attack(
    'W21 a message cut off',
    'ERR_OPEN',
    decrypting((message) => message.subarray(0, -1)),
  ),
  attack(
    'W10 a message cut off in its header',
    'ERR_MALFORMED',
    decrypting((message) => message.subarray(0, MESSAGE_HEADER_LENGTH - 1)),
  ),
  attack(
    'W10 nothing at all',
    'ERR_MALFORMED',
    decrypting(() => new Uint8Array()),
  ),
  attack(
    'W6 a header of another format',
    'ERR_MALFORMED',
    decrypting((message) => message.with(0, message[0]! ^ 1)),
  ),
  attack(
    'W28 the commitment of the message is changed',
    'ERR_OPEN',
    decrypting((message) =>
      message.with(MESSAGE_PREFIX_LENGTH - 1, message[MESSAGE_PREFIX_LENGTH - 1]! ^ 1),
    ),
  ),
  attack(
    'W12 bytes move from the context into the message',
    'ERR_OPEN',
    decrypting((message) => message, 'before'),
  ),
  attack(
    'W5 a message of another keyring',
    'ERR_UNKNOWN_KEY',
    decrypting((_, { orders }) => orders.encrypt('an order')),
    'member of both keyrings',
  ),
  attack(
    'W5 a message of another keyring under the key id of this one',
    'ERR_OPEN',
    decrypting(async (message, { orders }) =>
      withKeyId(await orders.encrypt('an order'), parseMessageHeader(message).keyId),
    ),
    'member of both keyrings',
  ),
  attack(
    'W8 a message under a key that everybody knows',
    'ERR_UNKNOWN_KEY',
    decrypting(async (_, stage) => {
      const secret = Uint8Array.from({ length: 32 }, (_byte, i) => i)
      const { key, keyId } = await keyOf(stage, secret, 1)
      return encryptMessage(key, keyId, new Uint8Array(), random(24), utf8('forged'))
    }),
  ),
  attack(
    '3.3 invisible salamander: one ciphertext under the ids of two keys',
    'ERR_OPEN',
    decrypting(async (message, stage) => {
      const [one] = stage.relay.keyrings[0]!.versions
      return withKeyId(message, (await keyOf(stage, one!.secret, one!.version)).keyId)
    }),
    'fellow member',
  ),
  {
    row: '3.3 removed member: messages made under a version that it had',
    actor: REMOVED,
    code: 'ERR_KEY_VERSION',
    victims: ['held'],
    isRefused: false,
    async play(stage) {
      await stage.rotate()
      await stage.client.refresh()
    },
    async act(stage) {
      const old = stage.relay.keyrings[0]!.versions[1]!
      const { key, keyId } = await keyOf(stage, old.secret, old.version)
      const message = await encryptMessage(key, keyId, new Uint8Array(), random(24), utf8('late'))
      return stage.notes.decrypt(message, { minVersion: stage.notes.version })
    },
  },
]
