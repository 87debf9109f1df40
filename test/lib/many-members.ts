/** Keyrings with many members, written as rows: only their number matters. */
import { saveDevice, type DeviceRow } from '../../deriver/devices.ts'
import { random } from '../../deriver/random.ts'
import { type Store } from '../../deriver/store.ts'
import { type Bytes } from '../../shared/bytes.ts'

/** A member that was written. */
export interface Filled {
  slot: number
  device: DeviceRow
}

/** Puts `count` devices into an empty keyring, in slots from 0 on. Their leaves are of no generation. `expires` is in seconds. */
export function fillKeyring(
  store: Store,
  keyring: Bytes,
  count: number,
  expires = 2_000_000_000,
): Filled[] {
  return store.transaction(() =>
    Array.from({ length: count }, (_, slot) => {
      const device: DeviceRow = {
        key_id: random(32),
        uri: `keyferry://client.acme.example/${slot}`,
        fingerprint: random(32),
        certificates: new Uint8Array(),
        issuers: new Uint8Array(),
        package_hash: random(32),
        suite: 'X25519',
        expires,
        channel_salt: random(32),
        channel_id: random(32),
        welcome_hash: random(32),
        root: 1,
        public_key: random(32),
      }
      saveDevice(store, device)
      store.run(
        'INSERT INTO members VALUES (?, ?, ?, ?)',
        keyring,
        slot,
        device.key_id,
        new Uint8Array(136),
      )
      return { slot, device }
    }),
  )
}
