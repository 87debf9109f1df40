export { EnrolSession, FindSession, OidcOptions, createOidcSession }

// web/enrolment/oidc
/** Asymmetric only: a key set is public. */
const ALGORITHMS: readonly ['EdDSA', 'Ed25519', 'ES256', 'PS256', 'RS256'];
/** What {@link createOidcSession} needs. */
interface OidcOptions {
    /** `iss`, exactly. */
    issuer: string;
    /** `aud`: the app's client id. */
    audience: string;
    /** The issuer's keys, or the address of them: https, or http on this machine. */
    jwks: JSONWebKeySet | URL;
    /** The URI of whom the claims name; `null` for nobody. */
    uriOf: (claims: JWTPayload) => string | null;
    /** `RS256`, `PS256`, `ES256` and Ed25519 by default. */
    algorithms?: readonly (typeof ALGORITHMS)[number][];
    /** The nonce that the app sent this browser to log in with; `null` refuses. */
    nonceOf?: (request: Request) => Promise<string | null> | string | null;
    /** Seconds since 1970. */
    now?: () => number;
}
/**
 * Finds the session in `Authorization: Bearer` with an ID token. `auth_time` counts as the last step-up. Throws `RangeError` for an algorithm or address
 * that is not taken; the session itself throws `ERR_ENROLMENT` where the issuer's keys cannot be had.
 */
function createOidcSession(options: OidcOptions): FindSession;

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
