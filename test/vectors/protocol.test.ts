// docs/vectors/*.json in Node, workerd and Chromium: everything but whole deliveries, which are in delivery.test.ts.
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { expect, test } from 'vitest'
import {
  decodeBundle,
  decodeWelcome,
  encodeBundle,
  encodeWelcome,
  readBundle,
} from '../../shared/bundle.ts'
import {
  base32,
  base64url,
  concat,
  fromBase32,
  fromBase64url,
  fromHex,
  fromUtf8,
  hex,
  u32,
  utf8,
  type Bytes,
} from '../../shared/bytes.ts'
import { envelopeSchema, preAuthenticationEncoding, type Envelope } from '../../shared/envelope.ts'
import { decodeDelivery } from '../../shared/delivery.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { readSignedBody } from '../../shared/credentials.ts'
import { verifyCall } from '../../shared/http-signature.ts'
import { readCall } from './read-call.ts'
import { readTicket } from '../../shared/ticket.ts'
import { decodeJson, encodeJson } from '../../shared/json.ts'
import {
  channelIdInput,
  channelInput,
  commitInput,
  kekInput,
  pendingInput,
  rootInput,
  versionInput,
} from '../../shared/kdf.ts'
import {
  requireRisingPackage,
  verifyKeyPackage,
  verifyKeyRequest,
} from '../../shared/key-package.ts'
import { decodeEntry, releaseLeaf } from '../../shared/log.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import { decodeManifest, encodeManifest, readManifest } from '../../shared/manifest.ts'
import { decryptMessageRange } from '../../shared/message-range.ts'
import { decryptMessage, parseMessageHeader } from '../../shared/message.ts'
import { sourceOf } from '../../web/data.ts'
import { decodeRelease, verifyHead } from '../../shared/release.ts'
import { buildTree, checkIndex, checkPage } from '../../shared/tree.ts'
import { verifyLeaf } from '../../shared/tree-proof.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { followTrust } from '../../shared/trust-following.ts'
import { unwrapCell } from '../../shared/unwrap.ts'
import { openWelcome } from '../../shared/welcome.ts'
import { validatePath } from '../../shared/path.ts'
import { subtle } from '../../shared/platform.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { openKeys, requireName } from '../../web/keys.ts'
import derivation from '../../docs/vectors/derivation.json' with { type: 'json' }
import encoding from '../../docs/vectors/encoding.json' with { type: 'json' }
import envelopes from '../../docs/vectors/envelope.json' with { type: 'json' }
import formats from '../../docs/vectors/format.json' with { type: 'json' }
import http from '../../docs/vectors/http.json' with { type: 'json' }
import json from '../../docs/vectors/json.json' with { type: 'json' }
import packages from '../../docs/vectors/key-package.json' with { type: 'json' }
import keyVectors from '../../docs/vectors/keys.json' with { type: 'json' }
import paths from '../../docs/vectors/path.json' with { type: 'json' }
import tree from '../../docs/vectors/tree.json' with { type: 'json' }
import trust from '../../docs/vectors/trust.json' with { type: 'json' }
import welcomes from '../../docs/vectors/welcome.json' with { type: 'json' }
import { importRecipient, plain, runCases, type RecipientJson } from './support.ts'

const parseEnvelope = (value: unknown): Envelope => envelopeSchema(value, '')

runCases<{ form: string; text: string }, string>('encoding', encoding.cases, ({ form, text }) => {
  const [decode, encode] = form === 'base32' ? [fromBase32, base32] : [fromBase64url, base64url]
  const bytes = decode(text)
  expect(encode(bytes)).toBe(text)
  return hex(bytes)
})

runCases<string, never>('JSON', json.cases, (bytes) => {
  const value = decodeJson(fromHex(bytes), 1_000)
  expect(hex(encodeJson(value))).toBe(bytes)
})

const mac = (key: Bytes, input: Bytes): Bytes => Uint8Array.from(hmac(nobleSha256, key, input))
const number = (bytes: Bytes): number => Number(`0x${hex(bytes)}`)

function labelInput(label: string, fields: Bytes[]): Bytes {
  const [a, b, c, d, e, f, g] = fields as [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes]
  if (label === 'id') return channelIdInput()
  if (label === 'root') return rootInput(a)
  if (label === 'pending') return pendingInput(a, b)
  if (label === 'channel') return channelInput(a, b, c)
  if (label === 'kek') return kekInput(a, b, number(c), number(d), e)
  const context = {
    tenant: a,
    keyring: b,
    incarnation: number(c),
    version: number(d),
    algorithm: number(e),
  }
  return label === 'commit' ? commitInput(context) : versionInput(context, f, g)
}

runCases<{ key: string; label: string; fields: string[] }, string>(
  'derivation',
  derivation.cases,
  ({ key, label, fields }) => hex(mac(fromHex(key), labelInput(label, fields.map(fromHex)))),
)

test('derivation, accumulated over 10,000', () => {
  let digest: Bytes = new Uint8Array(32)
  for (let n = 0; n < derivation.accumulated.count; n++) {
    const x = sha256(concat(utf8('keyferry accumulated'), u32(n)))
    const part = (i: number) => sha256(concat(x, Uint8Array.of(i)))
    const three = part(3)
    const context = {
      tenant: part(1),
      keyring: part(2).slice(0, 16),
      incarnation: number(three.slice(0, 4)),
      version: number(three.slice(4, 8)),
      algorithm: number(three.slice(8, 12)),
    }
    const salt = x[0]! % 2 === 0 ? new Uint8Array() : part(4)
    const secret = mac(x, versionInput(context, three.slice(16), salt))
    digest = sha256(concat(digest, secret, mac(secret, commitInput(context))))
  }
  expect(hex(digest)).toBe(derivation.accumulated.output)
})

const treeLeaf = (i: number): Bytes => {
  const block = (n: number) => sha256(concat(utf8(`keyferry test leaf ${i}`), u32(n)))
  return concat(block(0), block(1)).slice(0, 48)
}

runCases<{ size: number }, object>('tree', tree.trees, ({ size }) => {
  const { head, pages } = buildTree(
    Array.from({ length: size }, (_, i) => treeLeaf(i)),
    48,
  )
  return { root: hex(head.root), index: hex(head.index), pages: pages.map((p) => hex(sha256(p))) }
})

runCases<{ leaf: string; index: number; path: string[]; size: number; root: string }, never>(
  'proof',
  tree.proofs,
  ({ leaf, index, path, size, root }) =>
    verifyLeaf(fromHex(leaf), { index, path: path.map(fromHex) }, size, fromHex(root)),
)

runCases<{ pages: string[]; index: string }, object>('page', tree.objects, ({ pages, index }) => {
  for (const page of pages) checkPage(fromHex(page), 48)
  const checked = checkIndex(fromHex(index), pages.map(fromHex), 48)
  return plain({ index: sha256(fromHex(index)), root: checked.root, size: checked.size })
})

runCases<{ format: string; bytes: string }, object>(
  'format',
  formats.cases,
  ({ format, bytes }) => {
    const data = fromHex(bytes)
    const again = (value: unknown, encoded: Bytes) => {
      expect(encoded).toEqual(data)
      return plain(value)
    }
    if (format === 'manifest')
      return again(decodeManifest(data), encodeManifest(decodeManifest(data)))
    if (format === 'bundle') return again(decodeBundle(data), encodeBundle(decodeBundle(data)))
    if (format === 'welcome') return again(decodeWelcome(data), encodeWelcome(decodeWelcome(data)))
    if (format === 'entry') return again(decodeEntry(data), encodeJson(decodeEntry(data)))
    if (format === 'delivery') {
      const { crls, keyrings } = decodeDelivery(data)
      const objects = keyrings.map(({ bundle, manifest }) => [hex(bundle), hex(manifest)])
      return { crls: crls.map(hex), keyrings: objects }
    }
    if (format === 'release entry') return { entry: hex(releaseLeaf(decodeRelease(data))) }
    return again(decodeRelease(data), encodeJson(decodeRelease(data)))
  },
)

type Context = { trust: unknown; tenant: string; now: number; crls: string[] }

async function verifyContext(context: Context): Promise<VerifyContext> {
  const genesis = await verifyGenesis(parseEnvelope(context.trust), context.tenant)
  return { trust: genesis, now: context.now, crls: context.crls.map(fromBase64url) }
}

runCases<{ type: string; payload: string }, { pae: string; hash?: string }>(
  'pre-authentication encoding',
  envelopes.pae,
  ({ type, payload }, output) => {
    const pae = preAuthenticationEncoding(type, fromHex(payload))
    return output?.hash === undefined
      ? { pae: hex(pae) }
      : { pae: hex(pae), hash: hex(documentHash({ payloadType: type, payload: fromHex(payload) })) }
  },
)

runCases<Partial<Context> & { envelope: unknown }, string>(
  'envelope',
  envelopes.cases,
  async ({ envelope, ...edit }) => {
    const context = await verifyContext({ ...envelopes.context, ...edit })
    return hex((await verifyHead(parseEnvelope(envelope), context)).hash)
  },
)

runCases<
  {
    tenant: string
    documents: unknown[]
    floor: { number: number; hash: string } | null
    now?: number
  },
  object
>('trust', trust.cases, async ({ tenant, documents, floor, now = trust.now }) => {
  const pinned = floor && { number: floor.number, hash: fromBase64url(floor.hash) }
  const newest = await followTrust(tenant, null, documents.map(parseEnvelope), pinned, now)
  return { number: newest.body.number, hash: hex(newest.hash) }
})

runCases<{ package: unknown; request?: unknown }, string>(
  'key package',
  packages.cases,
  async (input) => {
    const context = await verifyContext(packages.context)
    const keyPackage = await verifyKeyPackage(parseEnvelope(input.package), context)
    requireRisingPackage(keyPackage, null)
    if (input.request !== undefined) {
      await verifyKeyRequest(parseEnvelope(input.request), keyPackage, context)
    }
    return hex(keyPackage.hash)
  },
)

interface HttpInput {
  method: string
  url: string
  body: string
  headers: Record<string, string>
  now: number
  skew: number
}

runCases<HttpInput, string>(
  'HTTP',
  http.cases,
  async ({ method, url, body, headers, now, skew }) => {
    const call = { method, url: new URL(url), body: fromHex(body) }
    const read = readCall(call, (name) => headers[name])
    const { spki } = parseCertificate(read.certificates[0]!)
    await verifyCall(read, { spki, fingerprint: sha256(read.certificates[0]!) }, now, skew)
    return fromUtf8(read.base)
  },
)

runCases<Omit<HttpInput, 'headers'>, string>(
  'HTTP, signed in the body',
  http.bodies,
  async ({ method, url, body, now, skew }) => {
    const posted = { method, url: new URL(url), body: fromHex(body) }
    const { signature } = await readSignedBody(posted)
    const { spki } = parseCertificate(signature.certificates[0]!)
    const certificate = { spki, fingerprint: sha256(signature.certificates[0]!) }
    await verifyCall(signature, certificate, now, skew)
    return fromUtf8(signature.base)
  },
)

runCases<{ ticket: string; url: string; now: number; skew: number }, never>(
  'ticket',
  http.tickets,
  async ({ ticket, url, now, skew }) => {
    const read = readTicket(ticket, new URL(url))
    const { spki } = parseCertificate(read.certificates[0]!)
    await verifyCall(read, { spki, fingerprint: sha256(read.certificates[0]!) }, now, skew)
  },
)

interface WelcomeInput extends RecipientJson {
  tenant: string
  fingerprint: string
  packageHash: string
  welcome: string
  welcomeHash: string
  channelId: string
}

runCases<WelcomeInput, object>('welcome', welcomes.cases, async (input, output) => {
  const { tenant } = input
  const [fingerprint, packageHash] = [fromHex(input.fingerprint), fromHex(input.packageHash)]
  const leaf = { welcomeHash: fromHex(input.welcomeHash), channelId: fromHex(input.channelId) }
  for (const way of await importRecipient(input)) {
    const recipient = { tenant, fingerprint, packageHash, ...way }
    const channel = await openWelcome(fromHex(input.welcome), leaf, recipient)
    expect(channel.key.extractable).toBe(false)
    expect(channel.id).toEqual(leaf.channelId)
  }
  return output
})

type KeyInput = Record<
  'channelKey' | 'cell' | 'manifest' | 'bundle' | 'message' | 'context' | 'name',
  string
> & { range?: [number, number] }

runCases<KeyInput, { text: string; name: string }>(
  'keys',
  keyVectors.cases,
  async (input, output) => {
    const channel = await subtle().importKey('raw', fromHex(input.channelKey), 'AES-KW', false, [
      'unwrapKey',
    ])
    const view = {
      bundle: readBundle(fromHex(input.bundle)),
      manifest: readManifest(fromHex(input.manifest)),
    }
    const keys = openKeys(view, await unwrapCell(channel, fromHex(input.cell)))
    await requireName(keys, input.name)
    const message = fromHex(input.message)
    const { keyId } = parseMessageHeader(message)
    let text = ''
    for (const entry of view.bundle.entries.all()) {
      const version = await keys.version(entry)
      if (hex(version.entry.keyId) === hex(keyId)) {
        const context = fromHex(input.context)
        const find = () => Promise.resolve(version.key)
        text = fromUtf8(
          input.range === undefined
            ? await decryptMessage(version.key, message, context)
            : await decryptMessageRange(sourceOf(message), context, find, ...input.range),
        )
      }
    }
    return { ...output, name: input.name, text }
  },
)

interface PathJson {
  certificates: string[]
  anchors: string[]
  crls: string[]
  now: number | null
  eku: string[]
}

runCases('path', paths.cases, ({ certificates, anchors, crls, now, eku }: PathJson) =>
  validatePath({
    certificates: certificates.map(fromHex),
    anchors: anchors.map(fromHex),
    crls: crls.map(fromHex),
    now: now ?? Number.NaN,
    eku,
  }),
)
