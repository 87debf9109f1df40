/** Says what any Keyferry file is, and what it claims, without secrets and without believing it. */
import { decodeBundle, decodeWelcome } from '../shared/bundle.ts'
import { base64url, fromBase64url, hex, utf8, type Bytes } from '../shared/bytes.ts'
import { parseAppConfig } from '../shared/config.ts'
import { parseCrl } from '../shared/crl.ts'
import { decodeEnvelope, encodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodeEvidence } from '../shared/evidence.ts'
import { decodeJson, parseJson } from '../shared/json.ts'
import { MAX_ENVELOPE, MAX_LOG_LEAF } from '../shared/limits.ts'
import { decodeEntry } from '../shared/log.ts'
import { decodeLogEvidence, type Statement } from '../shared/log-evidence.ts'
import { decodeManifest } from '../shared/manifest.ts'
import { isMessage, parseMessageHeader } from '../shared/message.ts'
import { decodePem } from '../shared/pem.ts'
import { decodeRelease } from '../shared/release.ts'
import { tenantId } from '../shared/document-hash.ts'
import { nameText, serialText } from './lenient-certificate.ts'
import { decodeDraft } from './trust-change.ts'
import { parseAnchor } from '../shared/x509.ts'
import { sha256 } from '../shared/hash.ts'

/** What a file is and what it says; `claims` holds texts, numbers and lists only. */
export interface Inspection {
  kind: string
  claims: Record<string, unknown>
}

const time = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

/** The base64url of 32 bytes. */
const HASH = /^[\w-]{42}[AEIMQUYcgkosw048]$/

/** A key id as every command shows it, whichever way a document has it. */
function keyIdText(value: unknown): unknown {
  const bytes = typeof value === 'string' && HASH.test(value) ? fromBase64url(value) : value
  return bytes instanceof Uint8Array ? hex(bytes) : value
}

/** Times as dates, key ids in hex, and other bytes as documents have them. */
function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return base64url(value)
  if (Array.isArray(value)) return value.map(readable)
  if (typeof value !== 'object' || value === null) return value
  const show = (name: string, one: unknown): unknown => {
    if (typeof one === 'number' && /(At|From|Until|Update)$/.test(name)) return time(one)
    return readable(name === 'keyId' ? keyIdText(one) : one)
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, show(name, one)]))
}

function certificate(der: Bytes): Inspection {
  const { notBefore, notAfter, serial, uris, isCa } = parseAnchor(der)
  const claims = {
    uris,
    isCa,
    serial: serialText(hex(serial)),
    validFrom: time(notBefore),
    validUntil: time(notAfter),
    fingerprint: base64url(sha256(der)),
  }
  return { kind: 'certificate', claims }
}

function crl(der: Bytes): Inspection {
  const { number, thisUpdate, nextUpdate, revoked } = parseCrl(der)
  return {
    kind: 'revocation list',
    claims: {
      number,
      thisUpdate: time(thisUpdate),
      nextUpdate: time(nextUpdate),
      revoked: [...revoked].map(serialText),
    },
  }
}

/** An envelope, or a proposed trust document that nobody may have signed yet. */
function readEnvelope(data: Bytes): Envelope {
  try {
    return decodeEnvelope(data)
  } catch {
    return decodeDraft(data)
  }
}

/** What a person can compare of an anchor. */
function anchorClaims(text: string): object {
  const der = fromBase64url(text)
  const { subject, notAfter, spki } = parseAnchor(der)
  return {
    subject: nameText(subject),
    certificate: hex(sha256(der)),
    key: hex(sha256(spki)),
    until: time(notAfter),
  }
}

/** Anchors in words in place of their bytes. */
function trustClaims(body: Record<string, unknown>): Record<string, unknown> {
  const out = { ...body }
  for (const role of ['clients', 'derivers']) {
    const rules = out[role] as { anchors: string[] }
    out[role] = { ...rules, anchors: rules.anchors.map(anchorClaims) }
  }
  return out
}

function envelope(data: Bytes): Inspection {
  const signed = readEnvelope(data)
  const type = /keyferry\.([a-z]+)\./.exec(signed.payloadType)?.[1] ?? 'document'
  const body = decodeJson(signed.payload, MAX_ENVELOPE) as Record<string, unknown>
  const claims: Record<string, unknown> = {
    ...(readable(type === 'trust' ? trustClaims(body) : body) as object),
    documentHash: base64url(documentHash(signed)),
    // The fingerprint of a certificate, as in the document; or, of an authority, the id of its key.
    signedBy: signed.signatures.map(({ keyid }) =>
      signed.certificates.length > 0 ? base64url(keyid) : hex(keyid),
    ),
    signerUris: signed.certificates.slice(0, 1).flatMap((der) => parseAnchor(der).uris),
  }
  if (type === 'trust' && body['number'] === 1) claims['tenantId'] = tenantId(signed)
  return {
    kind: type === 'package' ? 'key package' : type === 'trust' ? 'trust document' : type,
    claims,
  }
}

/** What evidence claims: nothing of it is checked here. */
function evidence(data: Bytes): Inspection {
  const { at, tenant, trust, crls, known, other } = decodeEvidence(data)
  const head = (one: Envelope): Record<string, unknown> => envelope(encodeEnvelope(one)).claims
  const claims = {
    tenant,
    at: time(at),
    trustDocuments: trust.length,
    revocationLists: crls.length,
    known: head(known),
    other: head(other),
  }
  return { kind: 'evidence', claims }
}

/** What evidence about the log claims: nothing of it is checked here. */
function logEvidence(data: Bytes): Inspection {
  const { at, tenant, trust, crls, known, other } = decodeLogEvidence(data)
  const statement = ({ head, leaf, of, proof }: Statement): Record<string, unknown> => ({
    [of === 'log' ? 'entry' : 'release']: decodeJson(leaf, MAX_LOG_LEAF),
    ...(of === 'log' ? { index: proof.index } : {}),
    under: envelope(encodeEnvelope(head)).claims,
  })
  const claims = {
    tenant,
    at: time(at),
    trustDocuments: trust.length,
    revocationLists: crls.length,
    known: statement(known),
    other: statement(other),
  }
  return { kind: 'evidence about the log', claims }
}

/** An entry of the log. */
function logEntry(data: Bytes): Inspection {
  const { event, ...claims } = decodeEntry(data)
  return { kind: `log entry: ${event}`, claims: readable(claims) as Record<string, unknown> }
}

/** In this order; the first that parses says what it is. */
const READERS: ((data: Bytes) => Inspection)[] = [
  (data) => {
    if (!isMessage(data)) throw new KeyferryError('ERR_MALFORMED', 'no message')
    return {
      kind: 'message',
      claims: {
        ...parseMessageHeader(data),
        keyId: hex(parseMessageHeader(data).keyId),
        bytes: data.length,
      },
    }
  },
  envelope,
  evidence,
  logEvidence,
  logEntry,
  (data) => ({
    kind: 'release',
    claims: readable(decodeRelease(data)) as Record<string, unknown>,
  }),
  (data) => {
    const config = parseAppConfig(parseJson(data, MAX_ENVELOPE))
    return {
      kind: 'app config',
      claims: {
        tenant: config.tenant,
        relays: config.relays,
        keyrings: [...config.keyrings.keys()],
      },
    }
  },
  (data) => ({
    kind: 'manifest',
    claims: readable(decodeManifest(data)) as Record<string, unknown>,
  }),
  (data) => {
    const { keyring, incarnation, generation, entries } = decodeBundle(data)
    const versions = entries.map((entry) => `${entry.incarnation}.${entry.version}`)
    return {
      kind: 'bundle',
      claims: { keyring: base64url(keyring), incarnation, generation, versions },
    }
  },
  (data) => ({
    kind: 'welcome',
    claims: {
      kem: `0x${decodeWelcome(data).kem.toString(16).padStart(4, '0')}`,
      bytes: data.length,
    },
  }),
  (data) => {
    const magic = new TextDecoder().decode(data.subarray(0, 7))
    if (magic !== 'KFTPAGE' && magic !== 'KFTINDX')
      throw new KeyferryError('ERR_MALFORMED', 'no page of a tree')
    return {
      kind: magic === 'KFTPAGE' ? 'tree page' : 'tree index',
      claims: { hash: base64url(sha256(data)), bytes: data.length },
    }
  },
  certificate,
  crl,
  (data) => certificate(decodePem(new TextDecoder().decode(data), 'CERTIFICATE')[0]!),
  (data) => crl(decodePem(new TextDecoder().decode(data), 'X509 CRL')[0]!),
]

/** Inspects a file's bytes. Throws `ERR_MALFORMED` if it is nothing that Keyferry knows. */
export function inspect(data: Bytes): Inspection {
  for (const read of READERS) {
    try {
      return read(data)
    } catch {
      // Not that kind: the next one may know it.
    }
  }
  throw new KeyferryError('ERR_MALFORMED', 'not a file that Keyferry knows')
}

/** Text of a stranger's file, with nothing in it that a terminal would obey. */
export function plain(text: string): string {
  return text.replace(
    /[^\P{C}\n]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
}

/** The inspection as lines for a person. */
export function describe({ kind, claims }: Inspection): string {
  const lines = Object.entries(claims).map(([name, value]) => {
    const shown =
      typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
    return `  ${name}: ${shown.length > 600 ? `${shown.slice(0, 600)}… (${utf8(shown).length} bytes)` : shown}`
  })
  return [kind, ...lines.map(plain)].join('\n')
}
