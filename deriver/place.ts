/**
 * Places of master secrets and signing keys, as one line of text: a file of this directory, the environment, a systemd credential, an HSM
 * (RFC 7512), or the MAC key of a KMS. A place never holds a secret; it may be shown and logged.
 */
import { KeyferryError } from '../shared/errors.ts'

/** Where a key is. */
export type Place =
  | { kind: 'file' | 'env' | 'credential'; name: string }
  | { kind: 'pkcs11'; token: string; object: string; module: string; pin: PinSource }
  | { kind: 'aws-kms'; key: string; region: string; endpoint: string }
  | { kind: 'gcp-kms'; key: string; endpoint: string; tokenFile: string | null }
  | {
      kind: 'vault'
      key: string
      address: string
      mount: string
      version: number
      namespace: string | null
      tokenFile: string | null
    }
export type Pkcs11Place = Extract<Place, { kind: 'pkcs11' }>

/** Where a PIN is read: an absolute path, or the name of a systemd credential. */
export type PinSource = { file: string } | { credential: string }

const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost']

function refuse(message: string): never {
  throw new KeyferryError('ERR_USAGE', message, {
    hint: 'keyferry root add --help lists the forms of a place',
  })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return refuse(`not percent-encoded: ${text}`)
  }
}

/** `a=1&b=2` as a map. A name that is not listed or comes twice is refused. */
function attributes(
  text: string,
  separator: string,
  names: readonly string[],
): Map<string, string> {
  const out = new Map<string, string>()
  for (const part of text === '' ? [] : text.split(separator)) {
    const at = part.indexOf('=')
    const name = part.slice(0, Math.max(at, 0))
    if (name === 'pin-value')
      refuse('a PIN is in a file or a credential, never in a place: pin-source')
    if (!names.includes(name) || out.has(name))
      refuse(`${JSON.stringify(part)} is none of ${names.join(', ')}, or comes twice`)
    out.set(name, decode(part.slice(at + 1)))
  }
  return out
}

function need(found: Map<string, string>, name: string, kind: string): string {
  const value = found.get(name)
  if (value === undefined || value === '') refuse(`${kind}: ${name}= is needed`)
  return value
}

/** An https address without a path, or an http one on this machine. */
function address(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const isFit =
    url !== null &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.includes(url.hostname))) &&
    url.username === '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === ''
  if (!isFit) refuse(`not an https address (http only on this machine): ${text}`)
  return url.origin
}

function absolute(path: string): string {
  if (!path.startsWith('/')) refuse(`not an absolute path: ${path}`)
  return path
}

function pinSource(text: string): PinSource {
  const [, kind, rest] = /^(file|credential):(.+)$/.exec(text) ?? []
  if (kind === 'file') return { file: absolute(rest!.replace(/^\/\/(?=\/)/, '')) }
  if (kind === 'credential' && /^[\w.-]+$/.test(rest!)) return { credential: rest! }
  return refuse(`pin-source is file:/PATH or credential:NAME, not ${text}`)
}

function pkcs11Place(path: string, query: string): Place {
  const at = attributes(path, ';', ['token', 'object'])
  const by = attributes(query, '&', ['module-path', 'pin-source'])
  return {
    kind: 'pkcs11',
    token: need(at, 'token', 'pkcs11'),
    object: need(at, 'object', 'pkcs11'),
    module: absolute(need(by, 'module-path', 'pkcs11')),
    pin: pinSource(need(by, 'pin-source', 'pkcs11')),
  }
}

function awsPlace(key: string, query: string): Place {
  const by = attributes(query, '&', ['region', 'endpoint'])
  const region = need(by, 'region', 'aws-kms')
  if (!/^[\w:/-]{1,256}$/.test(key)) refuse(`not the id or ARN of an AWS KMS key: ${key}`)
  if (!/^[a-z0-9-]{1,32}$/.test(region)) refuse(`not a region: ${region}`)
  const endpoint = address(by.get('endpoint') ?? `https://kms.${region}.amazonaws.com`)
  return { kind: 'aws-kms', key, region, endpoint }
}

const GCP_KEY =
  /^projects\/[\w.:-]+\/locations\/[\w-]+\/keyRings\/[\w-]+\/cryptoKeys\/[\w-]+\/cryptoKeyVersions\/\d+$/

function gcpPlace(key: string, query: string): Place {
  const by = attributes(query, '&', ['endpoint', 'token-file'])
  if (!GCP_KEY.test(key)) refuse(`not the name of a cryptoKeyVersion: ${key}`)
  const tokenFile = by.get('token-file')
  return {
    kind: 'gcp-kms',
    key,
    endpoint: address(by.get('endpoint') ?? 'https://cloudkms.googleapis.com'),
    tokenFile: tokenFile === undefined ? null : absolute(tokenFile),
  }
}

function vaultPlace(key: string, query: string): Place {
  const names = ['address', 'mount', 'key-version', 'token-file', 'namespace']
  const by = attributes(query, '&', names)
  const version = by.get('key-version') ?? '1'
  const mount = by.get('mount') ?? 'transit'
  const tokenFile = by.get('token-file')
  if (!/^[\w-]{1,128}$/.test(key)) refuse(`not the name of a transit key: ${key}`)
  if (!/^[\w-]+(\/[\w-]+)*$/.test(mount)) refuse(`not a mount: ${mount}`)
  if (!/^[1-9]\d{0,8}$/.test(version)) refuse(`key-version is a number from 1, not ${version}`)
  return {
    kind: 'vault',
    key,
    address: address(need(by, 'address', 'vault')),
    mount,
    version: Number(version),
    namespace: by.get('namespace') ?? null,
    tokenFile: tokenFile === undefined ? null : absolute(tokenFile),
  }
}

/** A place in an HSM as text. */
export function formatPkcs11({ token, object, module, pin }: Pkcs11Place): string {
  const source = 'file' in pin ? `file:${pin.file}` : `credential:${pin.credential}`
  const encode = (text: string): string =>
    encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%3A', ':')
  return `pkcs11:token=${encode(token)};object=${encode(object)}?module-path=${encode(module)}&pin-source=${encode(source)}`
}

/** Reads a place. Throws `ERR_USAGE`. */
export function parsePlace(text: string): Place {
  const [, kind, path = '', query = ''] = /^([a-z0-9-]+):([^?]*)(?:\?(.*))?$/.exec(text) ?? []
  switch (kind) {
    case 'file':
      return /^[a-z0-9-]{1,64}$/.test(path) && query === ''
        ? { kind, name: path }
        : refuse(`not the name of a key file of this directory: ${path}`)
    case 'env':
      return /^[A-Z][A-Z0-9_]{0,63}$/.test(path) && query === ''
        ? { kind, name: path }
        : refuse(`not the name of an environment variable: ${path}`)
    case 'credential':
      return /^[\w.-]{1,255}$/.test(path) && query === ''
        ? { kind, name: path }
        : refuse(`not the name of a credential: ${path}`)
    case 'pkcs11':
      return pkcs11Place(path, query)
    case 'aws-kms':
      return awsPlace(path, query)
    case 'gcp-kms':
      return gcpPlace(path, query)
    case 'vault':
      return vaultPlace(path, query)
    default:
      return refuse(`not the place of a root: ${text}`)
  }
}
