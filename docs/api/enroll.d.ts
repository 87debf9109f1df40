export { Bytes, CreateIdentityOptions, Enroll, EnrollOptions, Identity, SignatureAlgorithm, SigningKey, Store, StoredState, createIdentity, enrollAt, identityFromPem, loadIdentity, openIdentity, renewBy, renewIdentity }

// shared/bytes
/** Bytes as WebCrypto wants them. */
type Bytes = Uint8Array<ArrayBuffer>;

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
