/** Limits of the protocol, in bytes or seconds (docs/PROTOCOL.md, "Decoding" and the sections that name them). */

export const MAX_ENVELOPE = 65_536
export const MAX_MANIFEST = 1_500_000
export const MAX_BUNDLE = 1_500_000
export const MAX_RELEASE = 65_536
export const MAX_WELCOME = 4_096
export const MAX_DELIVERY = 8_388_608
export const MAX_PUSH = 4_194_304
/** An answer with heads, and how many it has: envelopes at their limit fit. */
export const MAX_HEADS_ANSWER = 8_388_608
export const MAX_HEADS_PAGE = 100
export const MAX_REQUEST = 131_072
export const MAX_BATCH = 8_388_608
/** An entry of the audit log: one names the rules of a keyring, which a manifest has room for. */
export const MAX_LOG_LEAF = 1_500_000
/** The largest revocation list. */
export const MAX_CRL = 1_048_576
/** All lists that a relay keeps of a tenant: so many are read when a tenant is looked at for the first time. */
export const MAX_LISTS = 4_194_304
/** Objects of a batch. */
export const MAX_BATCH_OBJECTS = 10_000
/** The largest object a relay stores: one row of its database. */
export const MAX_OBJECT = 1_500_000

export const MAX_CERTIFICATES = 4
export const MAX_TRUST_STEPS = 1_024
export const MAX_KEYRINGS_PER_REQUEST = 64
/** Seconds: 400 days. */
export const MAX_AUTHORITY_LIFETIME = 400 * 86_400
/** Seconds: 30 days. */
export const MAX_PACKAGE_LIFETIME = 30 * 86_400
/** Seconds: 10 minutes. */
export const MAX_REQUEST_LIFETIME = 600
/** How far a key package's version may rise at once. */
export const MAX_PACKAGE_STEP = 1_000
/** Characters of a delivery that an event carries whole. */
export const MAX_WHOLE = 16_384
/** Seconds that a call waits for news at most. */
export const MAX_WAIT = 25
/** Credentials as JSON, a ticket, each header of a signed call. */
export const MAX_CREDENTIALS = 32_768
/** What a client posts: credentials, a line feed, the call. */
export const MAX_POST = MAX_CREDENTIALS + 1 + MAX_REQUEST
/** Seconds that the HTTP signature of a call lives at most. */
export const MAX_SIGNATURE_LIFETIME = 60
