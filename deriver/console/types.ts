/** What the console's API answers (docs/console.md), for the server and for its page. Times are seconds. */

/** A relay, and how fresh what it holds is. */
export interface RelayView {
  url: string
  /** Of the head that it was last given; 0 for none. */
  version: number
  issuedAt: number
  expiresAt: number
  /** When it last answered; `null` for never. */
  reached: number | null
  problem: string | null
}

/** An alarm. */
export interface AlarmView {
  kind: string
  what: string
  help: string
  isUrgent: boolean
  /** 0 where it is not known. */
  since: number
}

/** `GET api/overview` */
export interface Overview {
  now: number
  tenant: string
  alarms: AlarmView[]
  head: { incarnation: number; version: number; issuedAt: number; expiresAt: number } | null
  relays: RelayView[]
  /** The service that works, and since when; `null` for none. */
  writer: { holder: string; fence: number; since: number } | null
  trust: { number: number; expiresAt: number }
  catalog: { number: number; expiresAt: number } | null
  roots: { name: string; place: string; isPresent: boolean }[]
  /** Seconds until a revocation holds everywhere. */
  bound: { direct: number; total: number }
  calendar: { what: string; until: number; renewsAt: number; by: string; state: string }[]
  counts: { keyrings: number; devices: number; waiting: number; entries: number }
}

/** A version, in a state of SP 800-57. */
export interface VersionView {
  incarnation: number
  version: number
  keyId: string
  state: 'pre-active' | 'active' | 'deactivated' | 'compromised' | 'destroyed'
  note: string
  /** From when on nobody has it, of one that is being destroyed. */
  destroyedFrom: number | null
  /** When it was first encrypted under; 0 for never. */
  activated: number
  encryptUntil: number
  decryptUntil: number
  isCommitted: boolean
  isBundled: boolean
}

/** `GET api/keyrings` */
export interface KeyringView {
  name: string
  id: string
  kind: string
  generation: number
  members: number
  rules: string[]
  /** Rules that wait for `keyring rule allow`. */
  waiting: string[]
  unused: number
  /** When the next version takes over. */
  rotatesAt: number
  isPlanned: boolean
  isPublished: boolean
  versions: VersionView[]
}

/** `GET api/clients` */
export interface ClientView {
  uri: string
  /** SHA-256 of its public key, in hex. */
  keyId: string
  certificateUntil: number
  /** The earlier end of key package and certificate. */
  until: number
  packageVersion: number
  /** Its last request that was signed and good; what it fetches only the relay sees. */
  heard: number | null
  isDenied: boolean
  keyrings: string[]
}

/** `GET api/requests` */
export interface RequestView {
  id: number
  uri: string
  keyring: string
  keyId: string
  asked: number
  state: 'waiting' | 'approved' | 'denied'
  reason: string
}

/** An entry of `GET api/log`. */
export interface EntryView {
  index: number
  event: string
  time: number
  /** Fields as text; keyrings by name. */
  fields: Record<string, string>
}

/** `GET api/relay`: what a relay sees, with what it sees of this tenant now, and what it does not. */
export interface Visible {
  sees: { what: string; values: string[]; more: number }[]
  never: string[]
}

/** What a revocation does, or would do. */
export interface RevokedView {
  uris: string[]
  certificates: number
  keys: number
  keyrings: string[]
  foreign: { issuer: string; serial: string; uri: string }[]
  /** From then on nobody encrypts under a key that the client had. */
  until: number
  isPreview: boolean
}

/** `POST api/login` and `GET api/session` */
export interface SessionView {
  name: string
  /** At the latest. */
  ends: number
  /** Only with a login: what the page sends in the header `keyferry-proof`. */
  proof?: string
}
