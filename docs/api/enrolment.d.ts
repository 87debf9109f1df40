export { Approval, ApprovalStore, Bytes, CaOptions, CertificateAuthority, Continuity, EnrolSession, EnrolmentEvent, EnrolmentOptions, ErrorCode, FindSession, Ground, IssuedCertificate, IssuedStore, Issuer, KnownKey, NodeRequest, NodeResponse, Once, SignatureAlgorithm, SigningKey, approveEnrolment, createCa, createEnrolment, createMemoryApprovals, createMemoryIssued, createMemoryOnce, toListener }

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

// shared/issue
/** A CA certificate with its private key. */
type Issuer = {
    readonly key: SigningKey;
    readonly certificate: Bytes;
};

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

// web/enrolment/approvals
/** A key that waits. `expiresAt` is seconds. */
interface Approval {
    uri: string;
    /** Key id, base64url. */
    key: string;
    code: string;
    isApproved: boolean;
    expiresAt: number;
}
/** Where they wait, by URI: at most a few each. */
interface ApprovalStore {
    read(uri: string): Promise<Approval[]>;
    write(uri: string, waiting: Approval[]): Promise<void>;
}
/**
 * Approves the key that shows this code, for ten minutes from when it first asked. The app calls it for the URI of whoever approves, after a
 * step-up of its own. Throws `ERR_NOT_FOUND`.
 */
function approveEnrolment(options: {
    approvals: ApprovalStore;
    uri: string;
    code: string;
    /** Seconds since 1970. */
    now?: number;
}): Promise<void>;
/** For one process. */
function createMemoryApprovals(): ApprovalStore;

// web/enrolment/ca
/** What {@link createCa} needs. */
interface CaOptions {
    /** Certificate (DER) and key of the client-issuing CA. */
    issuer: Issuer;
    /** DER, from the issuer's to the last one below the anchor; empty where the issuer is the anchor. */
    chain?: readonly Bytes[];
    issued: IssuedStore;
    /** Dotted OIDs; clientAuth by default. */
    eku?: readonly string[];
    /** Seconds since 1970. */
    now?: () => number;
}
/** What the handler asks of the customer's CA. It holds the client-issuing CA only. */
interface CertificateAuthority {
    /**
     * Certifies the key of a CSR (DER) for the URI. Returns PEM, end-entity first. `isFirst`: only if the URI has no other key. Throws
     * `ERR_DENIED` for a revoked key, `ERR_CONFLICT` when another key was first.
     */
    issue(request: {
        csr: Bytes;
        uri: string;
        lifetime: number;
        isFirst: boolean;
    }): Promise<string>;
    /** Every key that the URI ever had, expired and revoked ones too. */
    keysOf(uri: string): Promise<KnownKey[]>;
}
/** A certificate as it is recorded. */
interface IssuedCertificate {
    uri: string;
    keyId: Bytes;
    /** Hexadecimal: what a CRL lists. */
    serial: string;
    /** Seconds. */
    notAfter: number;
}
/** The record of what was issued. */
interface IssuedStore {
    keysOf(uri: string): Promise<KnownKey[]>;
    /** Records in one atomic step, unless the key was revoked, or `isFirst` and the URI has another key. Returns the reason, or `null` when done. */
    add(certificate: IssuedCertificate, isFirst: boolean): Promise<'revoked' | 'taken' | null>;
}
/** A key that has or had a certificate for a URI. */
interface KnownKey {
    /** SHA-256 of the SubjectPublicKeyInfo. */
    keyId: Bytes;
    /** Seconds, of the last certificate. */
    notAfter: number;
    isRevoked?: boolean;
}
/** A CA over an issuing key. Revocation lists are made elsewhere, from the same record. */
function createCa(options: CaOptions): CertificateAuthority;
/** A record in memory: for tests and trials, since a CA that forgets lets anybody be the first. */
function createMemoryIssued(): IssuedStore & {
    revoke(uri: string, keyId: Bytes): void;
};

// web/enrolment/continuity
/** What can speak for a further key. */
type Continuity = 'proof' | 'step-up' | 'approval';
/** Why a certificate was issued. */
type Ground = 'first' | 'known' | Continuity;

// web/enrolment/handler
/** For the app's log. It holds no secret. */
type EnrolmentEvent = {
    type: 'issued';
    uri: string;
    keyId: Bytes;
    ground: Ground;
} | {
    type: 'refused';
    code: ErrorCode;
    uri: string | null;
    cause: unknown;
};
/** What {@link createEnrolment} needs. */
interface EnrolmentOptions {
    ca: CertificateAuthority;
    /** The app's own authentication, or `createOidcSession` of `keyferry/enrolment/oidc`. */
    session: FindSession;
    /** At least 32 random bytes, the same in all instances. */
    secret: Bytes;
    /** Origins of the app's pages: `https://app.acme.example`. */
    origins: readonly string[];
    /** Seconds that a certificate lives: 7 days by default, 30 days at most. */
    lifetime?: number;
    /** What lets a further key join: `proof` and `step-up` by default, and `approval` where `approvals` is given. */
    accept?: readonly Continuity[];
    approvals?: ApprovalStore;
    /** Remembers used nonces; in memory by default, which is right for one process only. */
    once?: Once;
    /** Seconds for which this session has to wait; 0 for not at all. */
    limit?: (session: EnrolSession, request: Request) => Promise<number> | number;
    report?: (event: EnrolmentEvent) => void;
    /** Seconds since 1970. */
    now?: () => number;
}
/**
 * Makes the handler. Throws `RangeError` for a short secret, no origin, or a lifetime above 30 days. The handler itself never rejects.
 *
 * @example
 * const enrolment = createEnrolment({ ca, session, secret, origins: ['https://app.acme.example'] })
 * app.all('/enroll', (c) => enrolment(c.req.raw))
 */
function createEnrolment(options: EnrolmentOptions): (request: Request) => Promise<Response>;

// web/enrolment/listener
/** What is used of Node's `IncomingMessage`. */
interface NodeRequest extends AsyncIterable<unknown> {
    method?: string | undefined;
    url?: string | undefined;
    headers: Record<string, string | string[] | undefined>;
}
/** What is used of Node's `ServerResponse`. */
interface NodeResponse {
    writeHead(status: number, headers: Record<string, string | string[]>): unknown;
    end(body?: Uint8Array): unknown;
}
/**
 * Serves a handler. It reads the body itself: no body parser comes before it. A body above the limit is answered 413, what is no request 400, and a
 * handler that rejects, or whose body breaks off, 500; it never rejects itself.
 */
function toListener(handler: (request: Request) => Response | Promise<Response>, 
/** Bytes of a body at most. */
limit?: number): (request: NodeRequest, response: NodeResponse) => Promise<void>;

// web/enrolment/session
/** A session that the app has authenticated. */
interface EnrolSession {
    /** Names the session: tokens and nonces are bound to it. */
    id: string;
    /** The URI that certificates of this session carry: `keyferry://client.…/…`. Never taken from what the page sends. */
    uri: string;
    /** Seconds, when the user last proved once more who they are (passkey, second factor). */
    steppedUpAt?: number;
}
/** Finds the session of a request; `null` for none. */
type FindSession = (request: Request) => Promise<EnrolSession | null> | EnrolSession | null;

// web/enrolment/tokens
/** Remembers what was used. */
interface Once {
    /** True the first time, false after it, until `expiresAt` (seconds): one atomic step. */
    use(id: string, expiresAt: number): Promise<boolean>;
}
/** For one process. Several instances need one that they share. */
function createMemoryOnce(now?: () => number): Once;
