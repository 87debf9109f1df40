/** Vectors of the body of a delivery: what is behind its JSON, and where it ends. Nothing in it is signed. */
import { concat, hex, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { payloadType } from '../../shared/envelope.ts'
import { rewriteJson, writeDelivery, type AnyDelivery } from '../vectors/delivery-body.ts'
import { seeded } from './fixtures-keys.ts'
import { type Vector } from './fixtures-vectors.ts'

/** Makes a case of bytes. */
export type BodyItem = (
  comment: string,
  bytes: Bytes,
  expect: Vector['expect'],
  output?: unknown,
) => Vector

export function deliveryBodies(item: BodyItem): Vector[] {
  const proof = { index: 0, path: [] }
  const keyring = (name: string, bundle: number, manifest: number) => ({
    bundle: seeded(`bundle of ${name}`, bundle),
    keyring: seeded(name, 16),
    manifest: seeded(`manifest of ${name}`, manifest),
    manifestProof: proof,
    member: null,
    release: seeded('release', 20),
    releaseProof: proof,
    welcome: new Uint8Array(),
  })
  const delivery = {
    catalog: null,
    crls: [seeded('list 1', 5), seeded('list 2', 3)],
    head: {
      certificates: [seeded('certificate', 30)],
      payload: utf8('{}'),
      payloadType: payloadType('head'),
      signatures: [{ keyid: seeded('key id'), sig: seeded('signature', 64) }],
    },
    keyrings: [keyring('a', 7, 9), keyring('b', 0, 4), keyring('c', 2, 0)],
    refusals: [],
    trust: [],
  } satisfies AnyDelivery
  const body = writeDelivery(delivery)
  const edited = (from: string, to: string) => rewriteJson(body, (text) => text.replace(from, to))
  const output = {
    crls: delivery.crls.map(hex),
    keyrings: delivery.keyrings.map(({ bundle, manifest }) => [hex(bundle), hex(manifest)]),
  }
  return [
    item('a delivery', body, 'ok', output),
    item('a delivery whose JSON has white space', edited('{', '{ '), 'ok', output),
    item('a delivery with a length in another form', edited('"bundle":7', '"bundle":0.7e1'), 'ok', output), // prettier-ignore
    item('[dec-4] no length', body.slice(0, 3), 'ERR_MALFORMED'),
    item('[dec-4] a JSON longer than the body', concat(u32(body.length - 3), body.slice(4)), 'ERR_MALFORMED'), // prettier-ignore
    item('[dec-4] a byte too few', body.slice(0, -1), 'ERR_MALFORMED'),
    item('[dec-4] a byte too many', concat(body, Uint8Array.of(0)), 'ERR_MALFORMED'),
    item('[dec-4] a manifest longer than what is there', edited('"manifest":4', '"manifest":1400000'), 'ERR_MALFORMED'), // prettier-ignore
    item('[dec-3] a list of no bytes', edited('[5,3]', '[5,0]'), 'ERR_SCHEMA'),
    item('[dec-3] a list above its limit', edited('[5,3]', '[5,1048577]'), 'ERR_SCHEMA'),
    item('[dec-3] a bundle above its limit', edited('"bundle":7', '"bundle":1500001'), 'ERR_SCHEMA'), // prettier-ignore
    item('[dec-3] a bundle as text', edited('"bundle":7', '"bundle":"AAAA"'), 'ERR_SCHEMA'),
    item('[dec-3] a field too many', edited('{', '{"more":1,'), 'ERR_SCHEMA'),
  ]
}
