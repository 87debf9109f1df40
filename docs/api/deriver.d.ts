export { ClientCa, ClientCaOptions, Deriver, ErrorCode, InitOptions, Inspection, KeyferryError, KeyringOptions, OpenOptions, RelayReport, Revoked, Service, ServiceEvent, ServiceSettings, Status, Store, appConfig, createKeyring, describe, importCrl, initTenant, inspect, isKeyferryError, issueClient, needsPassphrase, openClientCa, openDeriver, readStatus, revokeCertificate, revokeClient, revokeDevice, rotateKeyring }

// deriver/bound
/** The parts of the bound and their sum. Seconds. */
interface RevocationBound {
    /** Of the CRL source that is looked at least often; 0 where there is none: then lists are imported by hand. */
    poll: number;
    rekey: number;
    headLifetime: number;
    skew: number;
    /** From a list at its source to the last message of an honest client under a key that the revoked one had. */
    total: number;
    /** The same from `client revoke`, which waits for no list. */
    direct: number;
}

// deriver/ca
/**
 * Issues a client certificate for a CSR (DER). The URI is the caller's, from its own session with the user, never the CSR's.
 * With `isFirst` only if no other key ever had the URI. Throws the codes of `parseCsr`, `ERR_DENIED` for a key that was revoked, `ERR_CONFLICT` where
 * another key was first, and the codes of `validatePath` for a URI that the CA may not name.
 */
function issueClient(store: Store, issuer: Issuer, csr: Bytes, uri: string, now: number, lifetime?: number, isFirst?: boolean): Promise<Bytes>;

// deriver/calendar
/** One line of the calendar. Times are seconds. */
interface CalendarEntry {
    what: string;
    until: number;
    renewsAt: number;
    /** Who or what renews it. */
    by: string;
    state: CalendarState;
}
/** `due`: the time to renew has come; `overdue`: it does not hold any more. */
type CalendarState = 'ok' | 'due' | 'overdue';

// deriver/client-ca
/** The client-issuing CA, as `createEnrolment` of `keyferry/enrolment` takes it. */
interface ClientCa {
    /**
     * Issues for a CSR (DER) under the URI that the caller decided; `lifetime` in seconds, 30 days unless given; with `isFirst` only if no other key
     * ever had the URI. Returns PEM, end-entity first. Throws `ERR_DENIED` for a revoked key, `ERR_CONFLICT` where another key was first,
     * `ERR_PATH_INVALID` for a URI that the CA may not name, `ERR_IO`, and the codes of `parseCsr`.
     */
    issue(request: {
        csr: Bytes;
        uri: string;
        lifetime?: number;
        isFirst?: boolean;
    }): Promise<string>;
    /** Every key that ever had a certificate of this URI, newest first: expired and revoked ones too, so that a further one is known as such. */
    keysOf(uri: string): Promise<ClientKey[]>;
    close(): void;
}
/** What a {@link ClientCa} is opened with. */
interface ClientCaOptions {
    /** The deriver's directory, or one that holds `keys/ca-client.json` alone (`keyferry ca export-enrolment`). */
    directory: string;
    /** `null` where the key file is unsealed. */
    passphrase: string | null;
    /** Seconds since 1970. */
    now?: () => number;
    /** A file of key ids, one a line (`keyferry ca denied`), that get no certificate either; read anew each time. */
    deny?: string;
}
/** A key that has or had a certificate of a URI. */
interface ClientKey {
    keyId: Bytes;
    /** Empty for one that a version without this column issued: no signature is by it. */
    spki: Bytes;
    /** Seconds, of its last certificate. */
    notAfter: number;
    isRevoked: boolean;
}
/** Opens the client-issuing CA. Throws `ERR_IO`, `ERR_PASSPHRASE`, `ERR_STATE`. */
function openClientCa(options: ClientCaOptions): Promise<ClientCa>;

// deriver/crl-sources
/** What polling reports. */
type CrlEvent = {
    type: 'crl';
    place: string;
    number: number;
} | {
    type: 'crl-error';
    place: string;
    code: ErrorCode;
    message: string;
};
/** A source as it stands. Times are seconds. */
interface CrlSource {
    place: string;
    every: number;
    added: number;
    /** When it is looked at next. */
    due: number;
    /** When it last gave a list that holds; `null` for never. */
    succeeded: number | null;
    /** What was wrong at the last attempt; `null` for nothing. */
    error: string | null;
}

// deriver/crls
/** Takes in a CRL of a CA that the trust document anchors, or that a stored path names as issuer. Throws `ERR_CRL`, `ERR_ROLLBACK`. */
function importCrl(store: Store, der: Bytes, issuers: readonly Bytes[], now: number): Promise<boolean>;

// deriver/fsck
/** What was found. `unreferenced` are objects that the head does not name: of the one before, or of the next. */
interface RelayReport {
    relay: string;
    tenant: string;
    trust: number;
    head: {
        incarnation: number;
        version: number;
    } | null;
    crls: number;
    objects: number;
    bytes: number;
    unreferenced: number;
    requests: number;
    problems: string[];
}

// deriver/index
/** A deriver opened from its directory. */
interface Deriver extends Service {
    readonly store: Store;
    close(): void;
}
/** How to open a deriver's directory. */
interface OpenOptions extends ServiceSettings {
    directory: string;
    /** `null` where the key files are unsealed. */
    passphrase: string | null;
    /** The deriver's certificate path and key, from a CA of the customer's, or how to read them again before each step. Default: issued by the built-in CA. */
    signer?: AnySigner | (() => Promise<AnySigner>);
    /** Name of this instance in the certificate that the built-in CA issues. */
    instance?: string;
}
/** True if a directory's keys need a passphrase. */
function needsPassphrase(directory: string): boolean;
/** Opens a deriver. Throws `ERR_IO`, `ERR_PASSPHRASE`, `ERR_STATE`, and what its roots throw: `ERR_PIN`, `ERR_ROOT` and the like. */
function openDeriver(options: OpenOptions): Promise<Deriver>;

// deriver/inspect
/** What a file is and what it says; `claims` holds texts, numbers and lists only. */
interface Inspection {
    kind: string;
    claims: Record<string, unknown>;
}
/** The inspection as lines for a person. */
function describe({ kind, claims }: Inspection): string;
/** Inspects a file's bytes. Throws `ERR_MALFORMED` if it is nothing that Keyferry knows. */
function inspect(data: Bytes): Inspection;

// deriver/keyrings
/** Settings of a new keyring. Times are seconds. */
interface KeyringOptions {
    name: string;
    rules: string[];
    kind?: Exclude<KeyringKind, 'imported'>;
    /** How long decryption goes on without a fresh head. Default 1 day. */
    offline?: number;
    /** Default 30 days. */
    generationMaxAge?: number;
    /** How long a version encrypts. Default 90 days. */
    cryptoperiod?: number;
    /** How long a version decrypts after that. Default 5 years. */
    decryptPeriod?: number;
    /** Requests that no rule covers wait for an administrator instead of being denied. */
    approvals?: boolean;
}
/** Makes a keyring with its first version and generation. Throws `ERR_EXISTS`, `ERR_USAGE`. */
function createKeyring(store: Store, options: KeyringOptions, now: number): {
    id: Bytes;
    name: string;
};

// deriver/lease
/** Who holds the lease. Times are seconds. */
interface Writer {
    /** `deriver-1, process 4711 on host`. */
    holder: string;
    fence: number;
    since: number;
    /** Not before this another one takes over, unless the holder ends. */
    until: number;
}

// deriver/maintain
/** What was done. */
type MaintenanceEvent = {
    type: 'revoked';
    devices: number;
    keyrings: number;
} | {
    type: 'unadmitted';
    devices: number;
    keyrings: number;
} | {
    type: 'rotated';
    keyrings: string[];
} | {
    type: 'uncovered';
    devices: number;
    keyring: string;
} | {
    type: 'rekeyed';
    uris: string[];
    keyrings: string[];
};

// deriver/orders
/** What was done. `version` is such as `notes@3`, `completes` seconds. */
type OrderEvent = {
    type: 'granted';
    uri: string;
    keyrings: string[];
} | {
    type: 'rewelcomed';
    devices: number;
} | {
    type: 'erased';
    version: string;
    completes: number;
} | {
    type: 'destroyed';
    version: string;
};

// deriver/rekey
/** A device that is being re-keyed. */
interface Rekey {
    uri: string;
    /** Hex. */
    keyId: string;
    /** Seconds. */
    ordered: number;
}

// deriver/revocation
/** What a revocation did. */
interface Revoked {
    uris: string[];
    /** Certificates that go on the next CRL of the built-in CA. */
    certificates: number;
    /** Keys that are denied for good. */
    keys: number;
    /** Names of keyrings that are re-keyed. */
    keyrings: string[];
    /** Certificates of other CAs, whose lists have to name them: key id of the issuer and serial, in hex. */
    foreign: {
        issuer: string;
        serial: string;
        uri: string;
    }[];
}
/** Revokes a client's certificate (DER), and denies its key, known here or not. Throws `ERR_USAGE` for one that is no client's. */
function revokeCertificate(store: Store, certificate: Bytes, now: number, reason?: RevokedEntry['reason']): Promise<Revoked>;
/**
 * Revokes a client's URI: every unexpired certificate of every key that ever had it goes on the next CRL of the built-in CA, and the keys are
 * denied for good, here and at enrolment. What a customer's own CA issued is named in the answer, for that CA to list.
 * Throws `ERR_NOT_FOUND` where there is nothing to revoke.
 */
function revokeClient(store: Store, uri: string, now: number, reason?: RevokedEntry['reason']): Revoked;
/** Revokes one device, named by the first digits of its key id in hex. Throws `ERR_NOT_FOUND`, and `ERR_USAGE` where several begin so. */
function revokeDevice(store: Store, prefix: string, now: number, reason?: RevokedEntry['reason']): Revoked;

// deriver/roots
/** What is derived from a root and still in use. */
interface RootUse {
    versions: number;
    generations: number;
    devices: number;
}

// deriver/service
/** A running or steppable deriver. */
interface Service {
    readonly tenant: string;
    /** Everything that is due, once: maintenance, mailbox, head, push. It takes no lease: whoever steps is one process. Throws `ERR_LEASE` where another service over the same database holds it. */
    step(): Promise<void>;
    /** The same with the lease, so that no other service starts meanwhile. Throws `ERR_LEASE` where one runs. */
    once(): Promise<void>;
    /** Runs until the signal; resolves when the last step is done. Of several over one database one works, and the others wait to take over. */
    run(signal: AbortSignal): Promise<void>;
    /** Verifies everything that a relay stores of the tenant; changes nothing. */
    check(url: string, progress?: (objects: number) => void): Promise<RelayReport>;
    /** Sends a relay everything once more: objects, then the newest head, as they were. Returns the head's version. Throws what calls throw, and `ERR_LEASE` where a service runs. */
    rebuild(url: string): Promise<number>;
}
/** What the service reports, for a log or a screen. It never holds a key. */
type ServiceEvent = {
    type: 'head';
    version: number;
    relay: string;
} | RequestEvent | MaintenanceEvent | OrderEvent | CrlEvent | {
    type: 'alarm';
    what: string;
    state: 'due' | 'overdue' | 'failed';
    until: number;
    by: string;
} | {
    type: 'root';
    state: 'away';
    code: ErrorCode;
    message: string;
} | {
    type: 'root';
    state: 'back';
} | {
    type: 'upload';
    relay: string;
    done: number;
    of: number;
} | WriterEvent | {
    type: 'relay-error';
    relay: string;
    code: ErrorCode;
    message: string;
} | {
    type: 'relay-back';
    relay: string;
};
/** How a service behaves. */
interface ServiceSettings {
    /** Addresses in place of the trust document's. */
    relays?: string[];
    /** Admits a new tenant at a relay. */
    invite?: string;
    /** Seconds that a head counts; the trust document's by default, and never more. */
    headLifetime?: number;
    /** Seconds between heads when nothing changes. */
    heartbeat?: number;
    /** Seconds that another service over the same database waits for one that does not stir, at most an hour. */
    lease?: number;
    /** Seconds since 1970. */
    now?: () => number;
    fetch?: typeof fetch;
    report?: (event: ServiceEvent) => void;
}

// deriver/status
/** A deriver's state. Times are seconds. */
interface Status {
    tenant: string;
    trust: {
        number: number;
        expiresAt: number;
    };
    /** Where the master secrets are, which one is in use, and what comes from each. */
    roots: ({
        name: string;
        place: string;
        isPresent: boolean;
    } & RootUse)[];
    catalog: {
        number: number;
        expiresAt: number;
    } | null;
    head: {
        incarnation: number;
        version: number;
        issuedAt: number;
        expiresAt: number;
    } | null;
    /** The service that works on this store; `null` where none does. */
    writer: Writer | null;
    relays: {
        url: string;
        version: number;
    }[];
    crls: {
        issuer: string;
        number: number;
        nextUpdate: number;
    }[];
    sources: CrlSource[];
    /** Seconds until a revocation holds everywhere. */
    bound: RevocationBound;
    calendar: CalendarEntry[];
    keyrings: {
        name: string;
        id: string;
        kind: string;
        version: number;
        generation: number;
        members: number;
        encryptUntil: number;
        published: boolean;
        /** Versions that are committed to and unknown to everyone. */
        unused: number;
    }[];
    /** Whether the authority's keys are elsewhere. */
    authorityAway: boolean;
    destructions: DestructionStatus[];
    /** Devices that are to replace their keys. */
    rekeys: Rekey[];
    /** Requests that wait for an administrator. */
    waiting: number;
    devices: {
        uri: string;
        keyId: string;
        packageVersion: number;
        expires: number;
        denied: boolean;
        keyrings: string[];
    }[];
    /** What is overdue, in words; empty if all is well. */
    problems: string[];
}
/** The JSON of an app config: all keyrings, or those named. Throws `ERR_NOT_FOUND`. */
function appConfig(store: Store, names?: readonly string[], relays?: readonly string[]): Promise<AppConfigJson>;
/** Reads a deriver's state; needs no key. */
function readStatus(store: Store, now: number): Promise<Status>;

// deriver/store
/** The open database. */
interface Store {
    close(): void;
}

// deriver/take-requests
/** What becomes of a request. */
type RequestEvent = {
    type: 'granted';
    uri: string;
    keyrings: string[];
} | {
    type: 'refused';
    uri: string;
    keyring: string;
    reason: string;
    kind: 'denied' | 'pending';
} | {
    type: 'invalid-request';
    code: ErrorCode;
};

// deriver/tenant
/** What `init` is told. */
interface InitOptions {
    directory: string;
    /** Customer's name, for the CA certificates. */
    organization: string;
    /** Domain below which the hosts `deriver.` and `client.` are made, e.g. `acme.example`. */
    domain: string;
    /** Relay addresses. */
    relays: string[];
    /** Web origins that may call the relay. */
    origins: string[];
    /** `null` leaves the key files unsealed. */
    passphrase: string | null;
    algorithm?: SignatureAlgorithm;
    suites?: Suite[];
    /** Where the master secret is: a place of place.ts. Default `file:master`, which is made. In an HSM it is made there, and so are the signing keys. */
    root?: string;
    headLifetime?: number;
    skew?: number;
    /** DER anchors of customer CAs, to be used in place of the built-in ones. */
    anchors?: {
        derivers?: Bytes[];
        clients?: Bytes[];
    };
    /** CRLs of those CAs. */
    now: number;
}
/**
 * Makes a tenant: keys, CAs, genesis trust document, database. Everything is made and checked before anything is written.
 * Throws `ERR_USAGE`, `ERR_EXISTS`, `ERR_IO`, and what a root throws. Returns the tenant id.
 */
function initTenant(options: InitOptions): Promise<string>;

// deriver/turn
/** What happens to the lease. */
type WriterEvent = {
    type: 'writer';
    state: 'waiting';
    holder: string;
} | {
    type: 'writer';
    state: 'taken' | 'lost';
};

// deriver/version-status
/** How far a destruction is; what it says of a date holds if `keyferry run` is up. */
interface DestructionStatus {
    /** `notes@3`. */
    version: string;
    phase: 'ordered' | 'erased' | 'destroyed';
    ordered: number;
    /** Seconds: from then on nobody has it. */
    completes: number;
    /** The signed record, as text; `null` before it is destroyed. */
    record: string | null;
}

// deriver/versions
/** Makes the next version of a keyring the one to encrypt with; the others go on decrypting. Throws `ERR_NOT_FOUND`, `ERR_KEY_VERSION`, `ERR_ROLLBACK` under the fence of a restore. */
function rotateKeyring(store: Store, name: string, now: number): number;

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

// shared/http-signature
/** A signer whose key may be elsewhere. */
type AnySigner = Signer<AnySigningKey>;
/** Who signs: a certificate's key and its path, end-entity first. */
interface Signer<K extends AnySigningKey = SigningKey> {
    key: K;
    certificates: Bytes[];
}

// shared/issue
/** Reasons of RFC 5280 §5.3.1 that a full CRL may give. */
const CRL_REASONS: {
    readonly keyCompromise: 1;
    readonly affiliationChanged: 3;
    readonly superseded: 4;
    readonly cessationOfOperation: 5;
};
/** A CA certificate with its private key. */
type Issuer = {
    readonly key: SigningKey;
    readonly certificate: Bytes;
};
type RevokedEntry = {
    readonly serial: Bytes;
    /** Seconds since 1970. */
    readonly date: number;
    readonly reason?: keyof typeof CRL_REASONS;
};

// shared/manifest
const KINDS: readonly ['recoverable', 'erasable', 'imported'];
/** Whether the versions of a keyring can be derived again, destroyed, or were brought in. */
type KeyringKind = (typeof KINDS)[number];

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
/** Whatever signs. */
type AnySigningKey = SigningKey | RemoteSigningKey;
/** A private key that is elsewhere, such as in an HSM, and signs as {@link signBytes} does. */
type RemoteSigningKey = {
    readonly alg: SignatureAlgorithm;
    readonly sign: (data: Bytes) => Promise<Bytes>;
    readonly spki: Bytes;
};
type SignatureAlgorithm = 'Ed25519' | 'ES256';
/** A private key, which may be non-extractable, with its SubjectPublicKeyInfo. */
type SigningKey = {
    readonly alg: SignatureAlgorithm;
    readonly key: CryptoKey;
    readonly spki: Bytes;
};

// shared/trust
/** Names of the HPKE suites, in order of preference. */
const SUITES: readonly ['MLKEM768-X25519', 'X25519', 'P-256'];
/** An HPKE suite of the protocol. */
type Suite = (typeof SUITES)[number];
