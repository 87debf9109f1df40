export { Bytes, CreateIdentityOptions, Enroll, EnrollOptions, ErrorCode, Identity, KeyferryError, SignatureAlgorithm, SigningKey, Store, StoredState, createIdentity, enrollAt, identityFromPem, loadIdentity, openIdentity, renewBy, renewIdentity }

// shared/bytes
/** Bytes as WebCrypto wants them. */
type Bytes = Uint8Array<ArrayBuffer>;

// shared/error-codes
/** Codes that only derivers, enrolments and tools throw. */
const SERVICE_CODES: {
    readonly ERR_RECOVERABLE: 'can be derived again, and so cannot be destroyed';
    readonly ERR_ORIGIN: 'not from a page of the app itself';
    readonly ERR_SESSION: 'no session, or a token of another one';
    readonly ERR_NEW_KEY: 'a further key needs a signature by an earlier one, a step-up or an approval';
    readonly ERR_LEASE: 'another deriver writes to this store';
    readonly ERR_CONFIG: 'the configuration is not valid';
    readonly ERR_PERMISSIONS: 'a file with secrets can be read by others';
    readonly ERR_PASSPHRASE: 'the passphrase does not open the master secret';
    readonly ERR_PIN: 'the PIN is refused, or was refused before';
    readonly ERR_ROOT: 'the root of trust does not answer usefully';
    readonly ERR_ROOT_DENIED: 'the root of trust does not let this deriver use the key';
    readonly ERR_ROOT_FULL: 'the root of trust has no room for another key';
    readonly ERR_ROOT_TIMEOUT: 'the root of trust does not answer in time';
    readonly ERR_ROOT_KEY: 'the root of trust has no such key, or not the one that was used';
    readonly ERR_USAGE: 'wrong use';
};

// shared/errors
/** Codes that a client throws, with the sentence shown where no better one is at hand; relay-codes.ts and error-codes.ts have the others. */
const CLIENT_CODES: {
    readonly ERR_TOO_LARGE: 'too large';
    readonly ERR_NOT_CANONICAL: 'not canonical';
    readonly ERR_PAYLOAD_TYPE: 'a document of another type';
    readonly ERR_TENANT: 'belongs to another tenant';
    readonly ERR_CERT_EXPIRED: 'a certificate is not valid now';
    readonly ERR_CERT_REVOKED: 'a certificate is revoked';
    readonly ERR_CRL: 'no usable revocation list for a certificate';
    readonly ERR_ROLE: 'the certificate has another role';
    readonly ERR_SIGNER: 'not signed by the signer that it names';
    readonly ERR_SIGNATURE: 'the signature is not valid';
    readonly ERR_WEAK_KEY: 'a weak or invalid public key';
    readonly ERR_UNSIGNED: 'not signed by its sender';
    readonly ERR_TRUST_CHAIN_TOO_LONG: 'too many trust documents';
    readonly ERR_STALE: 'past its expiry';
    readonly ERR_FUTURE: 'issued in the future';
    readonly ERR_CLOCK: 'the local clock was set back';
    readonly ERR_INCARNATION: 'of another incarnation of the deriver';
    readonly ERR_HASH: 'not what the signed statement names';
    readonly ERR_NOT_RECIPIENT: 'made for another recipient';
    readonly ERR_KEYRING: 'of another keyring';
    readonly ERR_COMMITMENT: 'not the key that the authority committed to';
    readonly ERR_OPEN: 'cannot be opened';
    readonly ERR_UNKNOWN_KEY: 'under a key that this keyring does not have';
    readonly ERR_DENIED: 'denied by the deriver';
    readonly ERR_REMOVED: 'removed by the deriver';
    readonly ERR_PENDING: 'waits for an administrator of the deriver';
    readonly ERR_UNPROVEN: 'the relay says so, no deriver signed it';
    readonly ERR_RELAY: 'the relay does not answer usefully';
    readonly ERR_TIMEOUT: 'no answer in time';
    readonly ERR_NOT_FOUND: 'not found';
    readonly ERR_QUOTA: 'over a limit of the tenant';
    readonly ERR_INTERNAL: 'internal error';
    readonly ERR_CLOSED: 'closed';
    readonly ERR_STATE: 'the stored state cannot be used';
};
/** A stable error code. */
type ErrorCode = keyof typeof CLIENT_CODES | keyof typeof SPOKEN_CODES | keyof typeof RELAY_CODES | keyof typeof SERVICE_CODES;
/** Thrown by everything in Keyferry that refuses something; misuse by the programmer is a `TypeError` or `RangeError`. */
class KeyferryError extends Error {
    readonly name = "KeyferryError";
    readonly code: ErrorCode;
    /** What a person can do about it, where that is known better than by the code. */
    readonly hint: string | undefined;
    /** A code that has no sentence here takes its message from who throws it. */
    constructor(code: keyof typeof CLIENT_CODES, message?: string, options?: {
        cause?: unknown;
        hint?: string;
    });
    constructor(code: ErrorCode, message: string, options?: {
        cause?: unknown;
        hint?: string;
    });
}

// shared/relay-codes
/** Codes that relays throw, and no client. */
const RELAY_CODES: {
    readonly ERR_KEY_PACKAGE: 'the key package is not valid';
    readonly ERR_KEY_PACKAGE_STALE: 'the key package is older than one already accepted';
    readonly ERR_REQUEST_EXPIRED: 'the request is outside its time window';
    readonly ERR_REPLAY: 'seen before';
    readonly ERR_CONFLICT: 'the head at the relay is another one';
    readonly ERR_INCOMPLETE: 'the head names objects that were not uploaded';
    readonly ERR_SUSPENDED: 'the operator of the relay has suspended the tenant';
    readonly ERR_MEDIA_TYPE: 'of another media type';
    readonly ERR_METHOD: 'this method is not allowed here';
    readonly ERR_EXISTS: 'exists already';
};
/** Codes that clients throw, too, and never without saying what is wrong. */
const SPOKEN_CODES: {
    readonly ERR_MALFORMED: 'not a well-formed document';
    readonly ERR_SCHEMA: 'a field is missing, unknown or of the wrong type';
    readonly ERR_CERT_PROFILE: 'the certificate does not fit the profile';
    readonly ERR_PATH_INVALID: 'no valid path to an anchor of the trust document';
    readonly ERR_SENDER: 'not a sender that this keyring or the caller takes';
    readonly ERR_TRUST_DOCUMENT: 'not a valid successor of the trust document';
    readonly ERR_LIFETIME: 'a longer lifetime than the trust document allows';
    readonly ERR_ROLLBACK: 'older than what was already accepted';
    readonly ERR_FORK: 'two different documents carry the same number';
    readonly ERR_UNLOGGED: 'not in the audit log that the head commits to';
    readonly ERR_DOCUMENT_MISMATCH: 'not the document asked for';
    readonly ERR_SUITE: 'a suite that the trust document does not allow';
    readonly ERR_KEY_VERSION: 'no such key version, or one that may not be used so';
    readonly ERR_UNSUPPORTED: 'not supported by this version, or here';
    readonly ERR_ENROLMENT: 'the enrolment does not answer usefully';
    readonly ERR_UNAUTHORIZED: 'no signature or secret that is admitted here';
    readonly ERR_IO: 'cannot be read or written';
};

// shared/signature
type SignatureAlgorithm = 'Ed25519' | 'ES256';
/** A private key, which may be non-extractable, with its SubjectPublicKeyInfo. */
type SigningKey = {
    readonly alg: SignatureAlgorithm;
    readonly key: CryptoKey;
    readonly spki: Bytes;
};

// web/enroll
/** Options of {@link createIdentity}. */
interface CreateIdentityOptions {
    /** Common name that the certification request proposes: 1 to 64 characters. */
    name: string;
    /** Where key and certificates are kept. */
    store: Store;
    /**
     * Brings the certification request to the customer's CA and returns the certificates: PEM, end-entity first. {@link enrollAt}, or a way of
     * one's own.
     */
    enroll: Enroll;
    /** Ed25519 by default, or P-256 (`ES256`) where the platform lacks it. */
    algorithm?: SignatureAlgorithm;
}
/**
 * Makes a signing key, has it certified and stores both, in place of an identity that is there. The key is not extractable, unless the store
 * keeps keys as text. Throws what `enroll` throws, `ERR_CERT_PROFILE` if the certificate is for another key, decoding codes,
 * `ERR_STATE`, `ERR_IO`; nothing is stored then.
 *
 * @example
 * const identity = await createIdentity({ name: 'Kim’s laptop', store, enroll: askOurServer })
 */
function createIdentity(options: CreateIdentityOptions): Promise<Identity>;
/**
 * The identity of a store, made and certified where there is none: of several tabs that start together one does it. The key is stored before it is
 * certified; where the answer is lost, as with a page that is closed, the same key is certified at the next start. Throws as {@link createIdentity}.
 *
 * @example
 * const identity = await openIdentity({ name: 'web', store, enroll: enrollAt('/enroll') })
 */
function openIdentity(options: CreateIdentityOptions): Promise<Identity>;
/**
 * What `connect` takes as `renew`: a new certificate for the key that is there, so that the device stays the member that it is. The certificate
 * may have expired.
 *
 * @example
 * const keyferry = await connect({ config, store, renew: renewBy(enrollAt('/enroll')) })
 */
function renewBy(enroll: Enroll): (identity: Identity) => Promise<Identity>;
/**
 * Renews the certificate that a store holds, at once, for the same key; a client with `renew` does so by itself. Throws `ERR_STATE` without an identity, and as
 * {@link createIdentity}.
 */
function renewIdentity(options: {
    store: Store;
    enroll: Enroll;
}): Promise<Identity>;

// web/enroll-at
/** Brings a certification request (PEM) to the CA and returns certificates; `current` is the identity that is replaced or renewed. */
type Enroll = (csrPem: string, current?: Identity | null) => Promise<string>;
/** Options of {@link enrollAt}. */
interface EnrollOptions {
    fetch?: typeof fetch;
    /** For every call: an ID token, or `Origin` where no browser sends it. */
    headers?: Record<string, string>;
    /** Shows the code that somebody has to approve, as on another device of the user. */
    onPending?: (code: string) => void;
    /** Ends the wait. */
    signal?: AbortSignal;
}
/**
 * Enrols at an address of the app's own origin. The function throws the code of a refusal: `ERR_SESSION` when the user has to log in, `ERR_NEW_KEY` when a
 * further device needs a step-up or approval, `ERR_DENIED` for a revoked key; `ERR_ENROLMENT` when there is no useful answer.
 *
 * @example
 * const enroll = enrollAt('/enroll')
 * const identity = await openIdentity({ name: 'me', store, enroll })
 */
function enrollAt(url: string | URL, options?: EnrollOptions): Enroll;

// web/identity
/** Who a client is. `certificates` are DER, end-entity first, the anchor left out. */
interface Identity {
    key: SigningKey;
    certificates: Bytes[];
}
/**
 * The identity of a service whose key and certificates are files: PKCS#8 ("PRIVATE KEY") and certificates, end-entity first. The key is
 * imported non-extractable. Throws `ERR_MALFORMED`, `ERR_CERT_PROFILE` if key and certificate do not belong together.
 */
function identityFromPem(keyPem: string, certificatesPem: string): Promise<Identity>;
/** The identity that `createIdentity` left in a store, or `null`. Throws `ERR_STATE`, `ERR_IO`. */
function loadIdentity(options: {
    store: Store;
}): Promise<Identity | null>;

// web/store
/** Where a client's state is kept. */
interface Store {
    /** True if private keys are written as text and must therefore be extractable when they are made. */
    readonly exportsKeys: boolean;
    /** Why nothing of it outlives the page, although it was meant to; the client tells it as the event `session`. */
    readonly sessionOnly?: KeyferryError;
    /** What was written last, by anyone; `null` at first. Throws `ERR_STATE`, `ERR_IO`. */
    read(): Promise<StoredState | null>;
    /**
     * Replaces the state, durably and as a whole once it resolves. Throws `ERR_STATE` unless `revision` is above the stored one, `ERR_IO`.
     */
    write(state: StoredState): Promise<void>;
    /** Runs `work` while no other tab, process or caller does. Not to be nested. */
    lock<T>(work: () => Promise<T>): Promise<T>;
    /**
     * Whether somebody may have written since this revision: asked before every encryption, so that no tab goes on under what another one has
     * replaced. It has to be cheap, and may be a moment late. Throws `ERR_IO`.
     */
    hasNewer?(revision: number): Promise<boolean>;
    /**
     * Runs `work`, a fetch, when no other tab fetches, so that one serves all; at the latest after some seconds, since a tab that hangs must stop
     * nobody. Other than `lock` it protects nothing. Throws the signal's reason.
     */
    turn?<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}
/**
 * All of a client's durable state: structured-cloneable, and opaque but for these two fields. Values are replaced, never changed in place.
 */
interface StoredState {
    format: 1;
    /** Rises with every write. */
    revision: number;
}
