export { AppConfigJson, Bytes, ClientEvents, ConnectOptions, ContextOptions, Data, DecryptOptions, EncryptOptions, ErrorCode, Evidence, Identity, Keyferry, KeyferryError, Keyring, KeyringState, MessageSource, RangeOptions, ReadOptions, Sender, SenderOptions, SenderStatus, SignatureAlgorithm, SigningKey, Store, StoredState, StreamData, StreamOptions, VerifyOptions, WaitOptions, connect, createMemoryStore, isKeyferryError, isMessage, loadIdentity, openIndexedDbStore }

// shared/bytes
/** Bytes as WebCrypto wants them. */
type Bytes = Uint8Array<ArrayBuffer>;

// shared/config
/** An app config as JSON, the way `keyferry app-config` prints it. */
interface AppConfigJson {
    floor: {
        hash: string;
        number: number;
    } | null;
    keyrings: {
        id: string;
        name: string;
    }[];
    relays: string[];
    tenant: string;
}

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
/** True for a {@link KeyferryError}, also one from another realm or bundle; with `code`, only for that code. */
function isKeyferryError(error: unknown, code?: ErrorCode): error is KeyferryError;

// shared/message
/** Whether these bytes begin as a message does. Says nothing about the rest. */
function isMessage(bytes: Uint8Array): boolean;

// shared/message-range
/** A message that is read in parts. */
interface MessageSource {
    /** Bytes of the message. */
    size: number;
    /** The bytes from `start` up to, but not including, `end`: exactly so many. */
    read: (start: number, end: number) => Uint8Array | Promise<Uint8Array>;
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

// shared/sender
/** Who signed. */
interface Sender {
    /** The one URI of the signer's certificate. */
    uri: string;
    /** Key id of the certificate's key, in hex: what `keyferry client list` shows. */
    device: string;
    /** Seconds; claimed by the signer. */
    signedAt: number;
    status: SenderStatus;
}
/**
 * How the signer's certificate stands now. `current`: its path is valid, and lists that are usable now cover it; `expired`: the path was valid at the
 * claimed time, which nobody can vouch for, and is over; `revoked`: a list has it, and the claimed time says nothing at all.
 */
type SenderStatus = 'current' | 'expired' | 'revoked';

// shared/signature
type SignatureAlgorithm = 'Ed25519' | 'ES256';
/** A private key, which may be non-extractable, with its SubjectPublicKeyInfo. */
type SigningKey = {
    readonly alg: SignatureAlgorithm;
    readonly key: CryptoKey;
    readonly spki: Bytes;
};

// web/client
/** What {@link connect} needs. */
interface ConnectOptions {
    /** JSON of `keyferry app-config`. */
    config: AppConfigJson;
    /** The one that `createIdentity` stored, by default. */
    identity?: Identity;
    /** Where the client's state is kept. */
    store: Store;
    fetch?: typeof fetch;
    /** Seconds since 1970, by this device's clock. */
    now?: () => number;
    /**
     * Brings a new certificate for the same key, from two thirds of the old one's life on: `renewBy(enrollAt('/enroll'))` of `keyferry/enroll`. Without it the
     * app renews.
     */
    renew?: (identity: Identity) => Promise<Identity>;
    /** Closes the client. */
    signal?: AbortSignal;
    /** For the event stream; `null` to poll only. */
    WebSocket?: typeof WebSocket | null;
}
/** Made by {@link connect}. */
class Keyferry {
    #private;
    private constructor();
    /** Reads the store again; `connect` and every fetch do it. Throws `ERR_STATE`, `ERR_IO`. */
    load(): Promise<void>;
    /** Names of the app config's keyrings. */
    get keyrings(): string[];
    /** Signed contradictions that were met with `ERR_FORK`: proof to show to others. */
    get evidence(): readonly Evidence[];
    /** Calls `listener` at every such event until the returned function is called. */
    on<N extends keyof ClientEvents>(event: N, listener: (detail: ClientEvents[N]) => void): () => void;
    /**
     * A keyring, as soon as its key is there: at once if the store has it and it is fresh, else it is asked for at the deriver. One whose
     * signed state is too old to encrypt under is given when no relay has newer.
     *
     * Throws `ERR_KEYRING` for a name that the config does not have or that is not the keyring's own; `ERR_DENIED`, `ERR_PENDING` and
     * `ERR_REMOVED` only on the deriver's signed word; `ERR_UNPROVEN` when a keyring that was there is withheld without one; `ERR_TIMEOUT`;
     * `ERR_UNAUTHORIZED` when no relay takes the certificate's signature; `ERR_CERT_REVOKED` when the CA's own list names the certificate and there is no key; `ERR_CLOSED`; and the code of a delivery that was refused. What the last fetch
     * failed with is the `cause` of `ERR_TIMEOUT`: `ERR_NOT_FOUND` when relays do not admit the certificate, which they answer as an unknown tenant.
     */
    keyring(name: string, options?: WaitOptions): Promise<Keyring>;
    /** Fetches what is new, together with whoever else does. Throws what transport and verification throw; keys stay usable. */
    refresh(): Promise<void>;
    /** Stops everything; keyrings of this client work no more. What is stored stays. */
    close(): void;
}
/**
 * A client of a tenant. It begins with what the store holds; the network is used from the first keyring on.
 *
 * Throws `ERR_SCHEMA` for another config, `ERR_STATE` for the store of another tenant or one without identity, `ERR_CERT_PROFILE` when key and
 * certificate do not belong together, `ERR_IO`.
 *
 * @example
 * const keyferry = await connect({ config, store: await openIndexedDbStore() })
 * const notes = await keyferry.keyring('notes')
 * const message = await notes.encrypt('Hello')
 */
function connect(options: ConnectOptions): Promise<Keyferry>;

// web/data
/** What can be encrypted: bytes, or text as UTF-8. */
type Data = string | Uint8Array | ArrayBuffer | Blob;
/** What can be encrypted as a stream. */
type StreamData = Data | ReadableStream<Uint8Array>;

// web/emitter
/** Events of a client. */
interface ClientEvents {
    /** A keyring stands otherwise than before; `reason` is the deriver's signed word to it, empty where there is none. */
    state: {
        keyring: string;
        state: KeyringState;
        reason: string;
    };
    /** A new head was accepted; `expiresAt` in seconds. */
    change: {
        incarnation: number;
        version: number;
        expiresAt: number;
    };
    /** A keyring has a new version to encrypt with. */
    key: {
        keyring: string;
        version: number;
    };
    /** Something was refused or a relay failed; the client goes on with what it has. */
    warning: {
        code: ErrorCode;
        message: string;
    };
    /**
     * Nothing of this client outlives the page: the browser keeps no keys (`store.sessionOnly`). Whoever starts to listen is told once, whenever that is; it is
     * also a warning, at the first keyring.
     */
    session: {
        code: ErrorCode;
        message: string;
    };
    /** The certificate, good until `expiresAt` (seconds), was renewed, or could not be: `failure`, and it is tried again. */
    renewal: {
        expiresAt: number;
        failure: {
            code: ErrorCode;
            message: string;
        } | null;
    };
    /** The first key can be used, so many milliseconds after `connect`. */
    ready: {
        milliseconds: number;
    };
}

// web/identity
/** Who a client is. `certificates` are DER, end-entity first, the anchor left out. */
interface Identity {
    key: SigningKey;
    certificates: Bytes[];
}
/** The identity that `createIdentity` left in a store, or `null`. Throws `ERR_STATE`, `ERR_IO`. */
function loadIdentity(options: {
    store: Store;
}): Promise<Identity | null>;

// web/keyring
/** A keyring of a client; it stays valid through rotations, and does what the newest accepted state allows at each call. */
class Keyring {
    #private;
    readonly name: string;
    private constructor();
    /** Number of the version that the newest accepted release encrypts under; 0 before there is one. It stays when the keyring is left out: whether it may encrypt says `state`. */
    get version(): number;
    /** How the keyring stands now; see {@link KeyringState}. */
    get state(): KeyringState;
    /** Why it is denied, pending or removed, in the words that the deriver signed; empty otherwise. */
    get reason(): string;
    /**
     * Encrypts under the newest version; with `sign`, as this client, which only members can see. Throws `ERR_STALE` when the signed state is too old, `ERR_KEY_VERSION` when no version is active,
     * `ERR_DENIED`, `ERR_REMOVED` or `ERR_UNPROVEN` when the newest head does not show this client in the keyring, `ERR_CERT_REVOKED` when the CA revoked its certificate, `ERR_CLOSED`; to sign, `ERR_CERT_EXPIRED` when
     * this client's certificate is over, and `ERR_TOO_LARGE` when its path has more than 16 kB.
     *
     * @example
     * const message = await notes.encrypt('Hello', { context: 'note/17' })
     */
    encrypt(data: Data, options?: EncryptOptions): Promise<Bytes>;
    /** Decrypts a message of this keyring into a text. Throws as the other overload, and `ERR_MALFORMED` if it is no UTF-8. */
    decrypt(message: Uint8Array, options: DecryptOptions & {
        as: 'text';
    }): Promise<string>;
    /**
     * Decrypts a message of this keyring. Throws `ERR_MALFORMED` for what is no message, `ERR_UNKNOWN_KEY` for one of another keyring or of a version
     * not delivered yet, `ERR_KEY_VERSION` below `minVersion` or outside the version's time, `ERR_STALE` after too long offline, and one
     * `ERR_OPEN` for everything that is wrong inside, the context included.
     *
     * A signature inside is verified too, unless `from` is false. `ERR_UNSIGNED` if there is none where `from` asks for one, `ERR_SENDER` for another sender
     * than `from` or one whom the keyring's rules do not cover, `ERR_CERT_REVOKED` for a revoked one, `ERR_SIGNATURE`, and the codes of certification paths.
     *
     * @example
     * const text = await notes.decrypt(message, { as: 'text', from: 'keyferry://client.acme.example/kim' })
     */
    decrypt(message: Uint8Array, options?: DecryptOptions & {
        as?: 'bytes';
    }): Promise<Bytes>;
    /**
     * {@link encrypt} as a stream, for data of any length in bounded memory: a stream of the message or, without data, a transform of bytes into a
     * message. It goes only as fast as it is read, and fails with what {@link encrypt} throws, `ERR_TOO_LARGE` from 2^46 bytes on, and
     * `TypeError` for pieces that are no `Uint8Array`, or in memory that is shared, can be resized or was given away.
     *
     * @example
     * await notes.encryptStream(file, { context: 'file/7', signal }).pipeTo(destination)
     */
    encryptStream(data: StreamData, options?: EncryptOptions & StreamOptions): ReadableStream<Uint8Array>;
    encryptStream(options?: EncryptOptions): TransformStream<Uint8Array, Uint8Array>;
    /**
     * {@link decrypt} as a stream, for a message of any length in bounded memory: a stream of the plaintext or, without a message, a transform of one
     * into bytes. It goes only as fast as it is read, and fails with what {@link decrypt} throws, and for such pieces as {@link encryptStream} does. Only its end says that the message is whole, and signed:
     * what was done with the bytes before must be undone when it fails. A sender that is not taken is refused before the first byte.
     *
     * @example
     * await notes.decryptStream(response.body, { context: 'file/7', signal }).pipeTo(destination)
     */
    decryptStream(message: Exclude<StreamData, string>, options?: DecryptOptions & StreamOptions): ReadableStream<Uint8Array>;
    decryptStream(options?: DecryptOptions): TransformStream<Uint8Array, Uint8Array>;
    /**
     * A range of a message's plaintext, of which only the chunks that hold it and the last one are read: of a file, or of an object store by
     * requests for ranges. Cut off at the plaintext's end, as `slice` does. Throws as {@link decrypt}, `RangeError` for no such range or size,
     * `ERR_IO` when `read` gives more or fewer bytes than asked for, and what `read` throws. It proves that the message has the `size` that its
     * source claims and that every byte stands at its place; it proves nothing of the chunks that were not read, and ranges of two calls are of
     * one message only if the source has not changed between them. Of a signed message it gives the data, and proves nothing of the sender: `from` is
     * refused (`ERR_UNSUPPORTED`).
     *
     * @example
     * const read = async (start: number, end: number) =>
     *   (await fetch(url, { headers: { range: `bytes=${start}-${end - 1}` } })).bytes()
     * const middle = await notes.decryptRange({ size, read }, { start: 1_000_000, end: 1_065_536 })
     */
    decryptRange(source: Uint8Array | Blob | MessageSource, options?: RangeOptions): Promise<Bytes>;
    /**
     * Signs data as this client, for this keyring and context: a signature to be kept beside them, which everyone can read and members can verify. It names
     * the data by their SHA-256. Needs neither a key nor the network. Throws `ERR_CERT_EXPIRED` and `ERR_CERT_REVOKED` when this client's certificate is over or revoked, `TypeError` for
     * pieces of a stream that are no `Uint8Array`, `ERR_CLOSED`.
     *
     * @example
     * const signature = await notes.sign(file, { context: 'contract/7' })
     */
    sign(data: StreamData, options?: ContextOptions & StreamOptions): Promise<Bytes>;
    /**
     * Who signed data, verified to the customer's CA. Throws `ERR_HASH` for other data or another context, `ERR_KEYRING` and `ERR_TENANT` for a signature of
     * another one, `ERR_FUTURE`, `ERR_SENDER` for another signer than `from` or one whom the keyring's rules do not cover, `ERR_CERT_REVOKED`,
     * `ERR_SIGNATURE`, the codes of certification paths and of decoding, and those of relays where a revocation list has to be fetched.
     *
     * The time is the signer's word. `status` says how the certificate stands now: who needs proof of a time needs `current`, or a witness.
     *
     * @example
     * const { uri, status } = await notes.verify(signature, file, { context: 'contract/7' })
     */
    verify(signature: Uint8Array, data: StreamData, options?: VerifyOptions): Promise<Sender>;
    /**
     * Whether a message should be decrypted and encrypted again, because its version may not encrypt any more under the newest state that was
     * accepted: it is compromised, deactivated or skipped, older than the version that is encrypted under now, or past its time. Needs no key and
     * no network; the first 40 bytes of the message are enough, and a hint until it is decrypted. Throws `ERR_MALFORMED` for what is no message,
     * `ERR_UNKNOWN_KEY` for one of another keyring or of a version not delivered yet, `ERR_CLOSED`.
     *
     * @example
     * const old = rows.filter(({ message }) => notes.needsRewrap(message))
     */
    needsRewrap(message: Uint8Array): boolean;
}

// web/keyring-options
/** What a message or a signature is bound to: the same context is needed to decrypt or verify. It is not part of them. Empty by default. */
interface ContextOptions {
    context?: string | Uint8Array;
}
/** How to decrypt. */
interface DecryptOptions extends ReadOptions, SenderOptions {
}
/** How to encrypt. */
interface EncryptOptions extends ContextOptions {
    /** Signs with this client's certificate, inside the message. */
    sign?: boolean;
}
/** Bytes of the plaintext: from `start`, 0 by default, up to, but not including, `end`, by default its end. */
interface RangeOptions extends ReadOptions {
    start?: number;
    end?: number;
}
/** How to read: whole messages and ranges. */
interface ReadOptions extends ContextOptions {
    /** Refuses messages under older versions: a member that was removed can still make such. */
    minVersion?: number;
}
/** Whom to take as the sender. */
interface SenderOptions {
    /**
     * The URI of the sender, or a prefix of it and `*` behind a `/`. `true` asks for a signature of any client that the keyring's rules cover; without it a
     * message may be unsigned, but a signature that is there must hold; `false` leaves the signature alone: by any member, for all one knows.
     */
    from?: string | boolean;
    /** Reports a revoked sender as its status, in place of `ERR_CERT_REVOKED`. */
    allowRevoked?: boolean;
    /** Told who signed, once that is proven and before the work ends; not at all of what nobody signed. */
    onSender?: (sender: Sender) => void;
}
/** What stops a stream of given data: both of its ends fail with the signal's reason. A transform is stopped by `pipeThrough(transform, { signal })`. */
interface StreamOptions {
    signal?: AbortSignal;
}
/** How to verify a signature that stands beside its data. */
interface VerifyOptions extends ContextOptions, StreamOptions {
    /** The URI of the signer, or a prefix of it and `*` behind a `/`; any client that the keyring's rules cover by default. */
    from?: string;
    /** Reports a revoked signer as its status, in place of `ERR_CERT_REVOKED`. */
    allowRevoked?: boolean;
}

// web/state
/**
 * How a keyring stands. `ready`: under the accepted head, which is fresh; `offline`: the same, while no relay can be reached; `unadmitted`: the
 * same, while every relay says that it does not admit this client, as after a revocation, which is a hint and proves nothing; `stale`: the signed
 * state is too old to encrypt under; `unproven`: a relay leaves the keyring out and no deriver says why; `denied` and `removed`: the deriver
 * says so; `revoked`: the CA's own list names this client's certificate; `pending`: everything before a first key.
 */
type KeyringState = 'pending' | 'ready' | 'stale' | 'offline' | 'unadmitted' | 'denied' | 'removed' | 'revoked' | 'unproven';

// web/store
/** Two signed documents that cannot both be honest: proof against whoever signed them. */
interface Evidence {
    code: ErrorCode;
    /** What it proves, in words. */
    message: string;
    /** Seconds, by the client's clock. */
    at: number;
    /** Document hash of the head that was refused. */
    head: Bytes;
    /** Stands alone: `keyferry inspect FILE --tenant ID` checks it. */
    file: Bytes;
}
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

// web/store-indexeddb
/**
 * Opens the store of this origin; clients of several tenants need several names. Where the browser keeps no keys, as in some private windows or with storage
 * blocked, it is a store in memory, with `sessionOnly` saying why. Throws `ERR_IO`.
 */
function openIndexedDbStore(name?: string): Promise<Store>;

// web/store-memory
/**
 * A store in memory. What it forgets cannot be made up for: with the same certificate key, a deriver refuses the key packages of a client that
 * lost count of them.
 */
function createMemoryStore(): Store;

// web/waiting
/** How long to wait for a keyring. */
interface WaitOptions {
    /** Milliseconds; 30,000 by default, at most 2e9 (23 days). */
    timeout?: number;
    signal?: AbortSignal;
}
