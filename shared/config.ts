/** The app config: what `keyferry app-config` prints and a client starts from (docs/PROTOCOL.md, "App config"). It holds no secret. */
import { type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { bytes, int, list, object, orNull, text, type Schema } from './schema.ts'
import { TENANT_ID, type TrustFloor } from './trust-following.ts'

/** An app's configuration, decoded. */
export interface AppConfig {
  /** The tenant id: 52 characters; the one thing that must be right. */
  tenant: string
  /** The trust document below which the app does not go. */
  floor: TrustFloor | null
  /** Addresses of relays, tried in order. Not trusted. */
  relays: string[]
  /** Keyring ids by name. */
  keyrings: Map<string, Bytes>
}

const keyrings: Schema<Map<string, Bytes>> = (value, path) => {
  const entries = list(object({ id: bytes(16), name: text(63, /\S/) }), 0, 1_000)(value, path)
  return new Map(entries.map(({ id, name }) => [name, id]))
}

const configSchema = object({
  floor: orNull(object({ hash: bytes(32), number: int(1) })),
  keyrings,
  relays: list(text(300, /^https?:\/\/[^\s/?#]+$/), 1, 16),
  tenant: text(52, TENANT_ID),
})

/** Checks the parsed JSON of an app config. Throws `ERR_SCHEMA`. */
export function parseAppConfig(json: unknown): AppConfig {
  const config = configSchema(json, '')
  const names = (json as { keyrings: unknown[] }).keyrings.length
  if (config.keyrings.size !== names)
    throw new KeyferryError('ERR_SCHEMA', 'keyrings: a name repeats')
  return config
}

/** An app config as JSON, the way `keyferry app-config` prints it. */
export interface AppConfigJson {
  floor: { hash: string; number: number } | null
  keyrings: { id: string; name: string }[]
  relays: string[]
  tenant: string
}
