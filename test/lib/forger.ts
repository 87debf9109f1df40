/** A member that is given forged deliveries, each time in the state before the first, and what came of it. */
import { commit } from '../../deriver/root.ts'
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import { SALT_LENGTH } from '../../shared/chunk.ts'
import { equal, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { decodeManifest, versionContext, type Manifest } from '../../shared/manifest.ts'
import { decryptMessage, encryptMessage, parseMessageHeader } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { deriveMessageKey } from '../../shared/unwrap.ts'
import { createMemoryStore } from '../../web/index.ts'
import { type Store, type StoredState } from '../../web/store.ts'
import { type Campaign, type Device } from './campaign.ts'
import { madeVersions } from './made-keys.ts'
import { expectNotBelow } from './monotone.ts'
import { outcome, SteppedClient } from './stepped-client.ts'

/** What came of a forged delivery. */
export interface Verdict {
  /** What it was refused with. */
  code: ErrorCode | 'none'
  /** Whether the client then uses a key that is not the one of its id. */
  isInjected: boolean
}

/** Makes another delivery of a true one and of its part for the keyring. */
export type Forge = (delivery: Delivery, item: DeliveredKeyring) => Delivery | Promise<Delivery>

const NONE = new Uint8Array()

/** The message key that a version secret gives. */
async function messageKey(secret: Bytes, manifest: Manifest, keyId: Bytes): Promise<CryptoKey> {
  const input = await subtle().importKey('raw', secret, 'HKDF', false, ['deriveKey'])
  return deriveMessageKey(input, manifest, keyId)
}

export class Victim {
  readonly #campaign: Campaign
  readonly #device: Device
  readonly #name: string
  readonly #id: Bytes
  readonly #state: StoredState
  readonly #Client: typeof SteppedClient

  private constructor(
    campaign: Campaign,
    device: Device,
    name: string,
    state: StoredState,
    Client: typeof SteppedClient,
  ) {
    this.#campaign = campaign
    this.#device = device
    this.#name = name
    this.#id = new Uint8Array(campaign.keyrings().find((one) => one.name === name)!.id)
    this.#state = state
    this.#Client = Client
  }

  /** A member as it is now; with a client that is not as it should be, if one is given, and with another store than its own. */
  static async of(
    campaign: Campaign,
    device: Device,
    name: string,
    Client = SteppedClient,
    store: Store = device.store,
  ): Promise<Victim> {
    return new Victim(campaign, device, name, (await store.read())!, Client)
  }

  /** The client after a delivery that was forged, which never takes it back. `own` is a secret of whoever forged it. */
  async given(forge: Forge, own: Bytes): Promise<Verdict> {
    const { relay } = this.#campaign.path
    const store = createMemoryStore()
    await store.write(this.#state)
    const options = this.#campaign.optionsOf(this.#device.identity, this.#device.name, store)
    const client = new this.#Client(options)
    let manifest: Manifest | undefined
    let forged: Delivery | undefined
    relay.twist = async (delivery) => {
      const asked = delivery.keyrings.find(({ keyring }) => equal(keyring, this.#id))
      const item = asked ?? relay.item(relay.pushes.at(-1)!, this.#id, this.#state.package)!
      manifest ??= decodeManifest(item.manifest)
      // Whatever it is asked for, it stays with its story.
      forged ??= await forge({ ...delivery, keyrings: [item] }, item)
      const keyrings = asked === undefined ? [] : forged.keyrings
      return { ...forged, keyrings, trust: delivery.trust }
    }
    try {
      const code = await client.round()
      expectNotBelow(this.#state, (await store.read())!)
      return { code, isInjected: await this.#isInjected(client, manifest!, own) }
    } finally {
      relay.twist = (delivery) => delivery
    }
  }

  async #isInjected(client: SteppedClient, manifest: Manifest, own: Bytes): Promise<boolean> {
    const keyring = client.keyring(this.#name)
    let message: Bytes | undefined
    await outcome(async () => {
      message = await keyring.encrypt('for members')
    })
    if (message !== undefined && !(await this.#isTrue(message, manifest))) return true
    // What the forger makes under its own key is nobody's message.
    for (const version of manifest.versions) {
      const key = await messageKey(own, manifest, commit(own, versionContext(manifest, version)))
      const salt = crypto.getRandomValues(new Uint8Array(SALT_LENGTH))
      const made = await encryptMessage(key, version.keyId, NONE, salt, NONE)
      if ((await outcome(() => keyring.decrypt(made))) === 'none') return true
    }
    return false
  }

  /** Whether a message is under the key that the deriver made for its key id. */
  async #isTrue(message: Bytes, manifest: Manifest): Promise<boolean> {
    const { keyId } = parseMessageHeader(message)
    const made = madeVersions(this.#campaign.path.tenant).find((one) => one.keyId === hex(keyId))
    if (made === undefined) return false
    const key = await messageKey(fromHex(made.secret), manifest, keyId)
    return (await outcome(() => decryptMessage(key, message, NONE))) === 'none'
  }
}
