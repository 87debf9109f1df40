// Properties of every format: arbitrary input gives a KeyferryError and nothing else; what is encoded decodes to itself; what decodes was the one
// encoding. SLOW=1 runs twenty times as many.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeDelivery, deliverySchema, type Delivery } from '../../shared/delivery.ts'
import { encodeDelivery } from '../../shared/encode-delivery.ts'
import {
  answersSchema,
  decodeBatch,
  encodeBatch,
  enrolmentSchema,
  mailboxSchema,
  pushSchema,
  requestSchema,
} from '../../shared/deriver-calls.ts'
import { eventSchema } from '../../shared/events.ts'
import {
  decodeBundle,
  decodeMember,
  decodeName,
  decodeWelcome,
  encodeBundle,
  encodeMember,
  encodeName,
  encodeWelcome,
} from '../../shared/bundle.ts'
import {
  base32,
  base64url,
  concat,
  fromBase32,
  fromBase64url,
  utf8,
  type Bytes,
} from '../../shared/bytes.ts'
import { callSchema } from '../../shared/client-calls.ts'
import { parseAppConfig } from '../../shared/config.ts'
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope.ts'
import { readCall } from '../vectors/read-call.ts'
import { readTicket } from '../../shared/ticket.ts'
import { canonicalJson, decodeJson, encodeJson } from '../../shared/json.ts'
import { decodeManifest, encodeManifest } from '../../shared/manifest.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { decodeRelease } from '../../shared/release.ts'
import { checkIndex, checkPage, parseIndex, parsePage } from '../../shared/tree.ts'
import {
  attempt,
  bundles,
  canonical,
  check,
  deliveries,
  envelopes,
  manifests,
  members,
  releases,
  shortText,
  someBytes,
  welcomes,
} from '../lib/fixtures-arbitraries.ts'

describe('arbitrary bytes', () => {
  const decoders: [string, (bytes: Bytes) => Bytes | undefined, string][] = [
    ['envelope', (b) => encodeEnvelope(decodeEnvelope(b)), '{"certificates":['],
    ['manifest', (b) => encodeManifest(decodeManifest(b)), 'KFMANIF\x01'],
    ['bundle', (b) => encodeBundle(decodeBundle(b)), 'KFBUNDL\x01'],
    ['welcome', (b) => encodeWelcome(decodeWelcome(b)), 'KFWELCM\x01'],
    ['member', (b) => encodeMember(decodeMember(b)), ''],
    ['release', (b) => encodeJson(decodeRelease(b)), '{"bundle":"'],
    ['page', (b) => (parsePage(b, 48), checkPage(b, 48), b), 'KFTPAGE\x01\0\0\0\x30'],
    ['index', (b) => (parseIndex(b, 48), checkIndex(b, [], 48), b), 'KFTINDX\x01\0\0\0\x30'],
    ['batch', (b) => encodeBatch(decodeBatch(b)), '\0\0\0\x05'],
    ['delivery', (b) => (decodeDelivery(b), undefined), '\0\0\0\x02{}'],
    ['name', (b) => encodeName(decodeName(b)), '\x01a'],
    ['canonical JSON', (b) => encodeJson(decodeJson(b, 1_000)), '{"a":'],
    ['message header', (b) => (parseMessageHeader(b), undefined), 'KFRYMSG\x01'],
  ]

  it.each(decoders)('into %s: an error of ours, or the one encoding', (_, again, magic) => {
    check(
      fc.property(someBytes(), fc.boolean(), (tail, withMagic) => {
        const bytes = withMagic ? concat(utf8(magic), tail) : tail
        const result = attempt(() => again(bytes))
        if (result !== undefined) expect(result).toEqual(bytes)
      }),
    )
  })

  it('into text forms: an error of ours, or the one text', () => {
    check(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const b64 = attempt(() => fromBase64url(text))
        if (b64 !== undefined) expect(base64url(b64)).toBe(text)
        const b32 = attempt(() => fromBase32(text))
        if (b32 !== undefined) expect(base32(b32)).toBe(text)
        attempt(() => readTicket(text, new URL('https://relay.example/')))
        const call = {
          method: 'GET',
          url: new URL('https://relay.example/'),
          body: new Uint8Array(),
        }
        attempt(() => readCall(call, () => text))
      }),
    )
  })

  it('large hostile numbers end fast', () => {
    const ff = new Uint8Array(64).fill(0xff)
    const start = performance.now()
    for (const [, again, magic] of decoders) {
      const head = utf8(magic)
      for (let length = 0; length <= 64; length++) {
        attempt(() => again(concat(head, ff.subarray(0, length))))
        attempt(() => again(concat(head, new Uint8Array(length), ff)))
      }
    }
    expect(performance.now() - start).toBeLessThan(2_000)
  })
})

describe('arbitrary JSON', () => {
  const schemas = {
    answersSchema,
    callSchema,
    deliverySchema,
    enrolmentSchema,
    eventSchema,
    mailboxSchema,
    pushSchema,
    requestSchema,
  }

  it.each(Object.entries(schemas))('into %s is an error of ours', (_, schema) => {
    check(
      fc.property(fc.jsonValue(), (value) => {
        expect(attempt(() => schema(value, ''))).toBeUndefined()
      }),
    )
  })

  it('into decoders and the app config is an error of ours', () => {
    check(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = utf8(JSON.stringify(value))
        expect(attempt(() => decodeEnvelope(bytes))).toBeUndefined()
        expect(attempt(() => decodeRelease(bytes))).toBeUndefined()
        expect(attempt(() => parseAppConfig(value))).toBeUndefined()
        const decoded = attempt(() => decodeJson(bytes, 100_000))
        if (decoded !== undefined) expect(encodeJson(decoded)).toEqual(bytes)
      }),
    )
  })
})

/** A delivery as a relay writes it, which has the envelopes encoded. */
const encodeStored = ({ catalog, head, refusals, trust, ...objects }: Delivery): Bytes =>
  encodeDelivery({
    ...objects,
    catalog: catalog && encodeEnvelope(catalog),
    head: encodeEnvelope(head),
    refusals: refusals.map(encodeEnvelope),
    trust: trust.map(encodeEnvelope),
  })

describe('encode and decode', () => {
  it('canonical JSON', () => {
    check(
      fc.property(canonical, (value) => {
        const text = canonicalJson(value)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
        expect(decodeJson(utf8(text), 1_000_000)).toEqual(JSON.parse(text))
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  const formats = {
    manifest: [manifests, encodeManifest, decodeManifest],
    bundle: [bundles, encodeBundle, decodeBundle],
    welcome: [welcomes, encodeWelcome, decodeWelcome],
    member: [members, encodeMember, decodeMember],
    envelope: [envelopes, encodeEnvelope, decodeEnvelope],
    release: [releases, encodeJson, decodeRelease],
    delivery: [deliveries, encodeStored, decodeDelivery],
    batch: [fc.array(someBytes(), { maxLength: 5 }), encodeBatch, decodeBatch],
    name: [shortText, encodeName, decodeName],
  } as unknown as Record<
    string,
    [fc.Arbitrary<unknown>, (v: unknown) => Bytes, (b: Bytes) => unknown]
  >

  it.each(Object.entries(formats))('%s', (_, [values, encode, decode]) => {
    check(
      fc.property(values, (value) => {
        const bytes = encode(value)
        expect(decode(bytes)).toEqual(value)
        expect(encode(decode(bytes))).toEqual(bytes)
      }),
    )
  })

  it('text forms', () => {
    check(
      fc.property(someBytes(), (bytes) => {
        expect(fromBase64url(base64url(bytes))).toEqual(bytes)
        expect(fromBase32(base32(bytes))).toEqual(bytes)
      }),
    )
  })
})
