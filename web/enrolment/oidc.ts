/** Sessions from OpenID Connect ID tokens, verified with `jose` (an optional peer dependency of Keyferry). */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
} from 'jose'
import { base64url, utf8 } from '../../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { type FindSession } from './session.ts'

export { type EnrolSession, type FindSession } from './session.ts'

/** Asymmetric only: a key set is public. */
const ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256', 'PS256', 'RS256'] as const

/** What {@link createOidcSession} needs. */
export interface OidcOptions {
  /** `iss`, exactly. */
  issuer: string
  /** `aud`: the app's client id. */
  audience: string
  /** The issuer's keys, or the address of them: https, or http on this machine. */
  jwks: JSONWebKeySet | URL
  /** The URI of whom the claims name; `null` for nobody. */
  uriOf: (claims: JWTPayload) => string | null
  /** `RS256`, `PS256`, `ES256` and Ed25519 by default. */
  algorithms?: readonly (typeof ALGORITHMS)[number][]
  /** The nonce that the app sent this browser to log in with; `null` refuses. */
  nonceOf?: (request: Request) => Promise<string | null> | string | null
  /** Seconds since 1970. */
  now?: () => number
}

const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost']

/** The keys at an address. Where they cannot be had, `ERR_ENROLMENT`: that says nothing of the token. */
function keysAt(url: URL): JWTVerifyGetKey {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && LOOPBACK.includes(url.hostname)))
    throw new RangeError('jwks: an https address')
  const remote = createRemoteJWKSet(url)
  return async (header, token) => {
    try {
      return await remote(header, token)
    } catch (cause) {
      const isOfToken =
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys
      if (isOfToken) throw cause
      throw new KeyferryError('ERR_ENROLMENT', 'the keys of the issuer cannot be had', { cause })
    }
  }
}

/**
 * Finds the session in `Authorization: Bearer` with an ID token. `auth_time` counts as the last step-up. Throws `RangeError` for an algorithm or address
 * that is not taken; the session itself throws `ERR_ENROLMENT` where the issuer's keys cannot be had.
 */
export function createOidcSession(options: OidcOptions): FindSession {
  const { issuer, audience, jwks, algorithms = ALGORITHMS } = options
  if (!algorithms.every((one) => ALGORITHMS.includes(one))) throw new RangeError('algorithms')
  const keys = jwks instanceof URL ? keysAt(jwks) : createLocalJWKSet(jwks)
  return async (request) => {
    const token = /^Bearer ([\w.-]{1,16000})$/.exec(request.headers.get('authorization') ?? '')?.[1]
    if (token === undefined) return null
    let claims: JWTPayload
    try {
      const now = options.now?.()
      // PROTOCOL [enrol-3]
      const verified = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        requiredClaims: ['sub', 'exp', 'iat'],
        ...(now === undefined ? {} : { currentDate: new Date(now * 1000) }),
      })
      claims = verified.payload
    } catch (error) {
      if (isKeyferryError(error)) throw error
      return null
    }
    const isForOthers = Array.isArray(claims.aud) && claims.aud.length > 1
    if (isForOthers ? claims['azp'] !== audience : (claims['azp'] ?? audience) !== audience)
      return null
    if (options.nonceOf !== undefined) {
      const nonce = await options.nonceOf(request)
      if (nonce === null || claims['nonce'] !== nonce) return null
    }
    const uri = options.uriOf(claims)
    const time = claims['auth_time']
    const id = base64url(sha256(utf8(token)))
    if (uri === null) return null
    return typeof time === 'number' ? { id, uri, steppedUpAt: time } : { id, uri }
  }
}
