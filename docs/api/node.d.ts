export { Bytes, Identity, SignatureAlgorithm, SigningKey, Store, StoredState, createFileStore, identityFromPem }

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

// web/store-file
/**
 * A store in a file, whose directory must exist. Processes on one machine take turns with a lock file beside it.
 *
 * @example
 * const store = createFileStore('/var/lib/orders/keyferry.json')
 */
function createFileStore(path: string): Store;
