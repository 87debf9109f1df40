/** Vectors of what a client signs to be let in: key packages, key requests and HTTP messages. */
import { base64url, concat, fromUtf8, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { readSignedBody, signBody } from '../../shared/credentials.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { signCall, type Call } from '../../shared/http-signature.ts'
import { readCall } from '../vectors/read-call.ts'
import { signTicket } from '../../shared/ticket.ts'
import { KEYRINGS, type World } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import { toJson, verifyContext } from './fixtures-vectors-signed.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, NOW, packageBody, requestBody, signAs } from './fixtures.ts'

export async function keyPackageVectors(world: World): Promise<object> {
  const { alice, tenant } = world
  const body = packageBody(tenant, alice, alice.recipient)
  const hash = documentHash(alice.keyPackage)
  const item = async (comment: string, edit: object, expect: Vector['expect']) =>
    vector(
      comment,
      { package: toJson(await signAs(alice, 'package', { ...body, ...edit })) },
      expect,
    )
  const request = async (comment: string, edit: object, expect: Vector['expect']) => {
    const made = requestBody(tenant, alice, hash, [KEYRINGS[0]!])
    const envelope = await signAs(alice, 'request', { ...made, ...edit })
    return vector(comment, { package: toJson(alice.keyPackage), request: toJson(envelope) }, expect)
  }
  return {
    context: verifyContext(world),
    cases: [
      vector('a key package', { package: toJson(alice.keyPackage) }, 'ok', hex(hash)),
      await item('[package-1] another tenant', { tenant: 'a'.repeat(52) }, 'ERR_TENANT'),
      await item('[package-2] a key of another length', { suite: 'P-256' }, 'ERR_KEY_PACKAGE'),
      await item('[package-3] from the future', { issuedAt: NOW + 61 }, 'ERR_FUTURE'),
      await item('[package-3] expired', { expiresAt: NOW - 1 }, 'ERR_KEY_PACKAGE_STALE'),
      await item(
        '[package-3] 31 days',
        { issuedAt: NOW, expiresAt: NOW + 31 * DAY },
        'ERR_LIFETIME',
      ),
      await item('[package-4] a version of 1,001 at first', { version: 1_001 }, 'ERR_KEY_PACKAGE'),
      await request('a request', {}, 'ok'),
      await request('[request-1] for another package', { package: seeded('x') }, 'ERR_KEY_PACKAGE'),
      await request('[request-2] from the future', { issuedAt: NOW + 61 }, 'ERR_FUTURE'),
      await request(
        '[request-2] expired',
        { issuedAt: NOW - 300, expiresAt: NOW - 61 },
        'ERR_REQUEST_EXPIRED',
      ),
      await request('[request-2] 601 seconds', { expiresAt: NOW + 601 }, 'ERR_REQUEST_EXPIRED'),
    ],
  }
}

export async function httpVectors(world: World): Promise<object> {
  const { alice } = world
  const call: Call = {
    method: 'POST',
    url: new URL(`https://relay.example/v1/${world.tenant.trust.tenant}/calls?x=1`),
    body: utf8('{"after":"","call":"wait","seconds":25}'),
  }
  const headers = await signCall(call, alice, NOW)
  const plain: Call = {
    method: 'GET',
    url: new URL('http://localhost:8787/v1/x/head'),
    body: utf8(''),
  }
  const plainHeaders = await signCall(plain, alice, NOW)
  const input = (c: Call, h: object, edit: object = {}) => ({
    method: c.method,
    url: c.url.href,
    body: hex(c.body),
    headers: h,
    now: NOW,
    skew: 60,
    ...edit,
  })
  const base = (c: Call, h: Record<string, string>) =>
    new TextDecoder().decode(readCall(c, (name) => h[name]).base)
  const bad = (comment: string, edit: object, more: object = {}) =>
    vector(comment, input(call, { ...headers, ...more }, edit), 'ERR_UNAUTHORIZED')
  const signature = headers['signature-input']!
  const url = new URL('wss://relay.example/v1/x/events')
  const ticket = await signTicket(url, alice, NOW, seeded('nonce').slice(0, 16))
  const posted = await signBody(call, alice, NOW)
  const { signature: read } = await readSignedBody({ ...call, body: posted })
  const body = (comment: string, bytes: Bytes, expect: Vector['expect'], output?: string) => {
    const given = { method: call.method, url: call.url.href, body: hex(bytes), now: NOW, skew: 60 }
    return vector(comment, given, expect, output)
  }
  const credentials = posted.subarray(0, posted.indexOf(10) + 1)
  return {
    comment: 'Header names are in lower case. The path of the certificates is validated apart.',
    cases: [
      vector('a call', input(call, headers), 'ok', base(call, headers)),
      vector('without query and body', input(plain, plainHeaders), 'ok', base(plain, plainHeaders)),
      vector('at the end of its life and the skew', input(call, headers, { now: NOW + 120 }), 'ok'),
      bad('[relay-2] too early', { now: NOW - 61 }),
      bad('[relay-2] too late', { now: NOW + 121 }),
      bad('[relay-2] another method', { method: 'PUT' }),
      bad('[relay-2] another path', { url: call.url.href.replace('calls', 'requests') }),
      bad('[relay-2] another host', {
        url: call.url.href.replace('relay.example', 'evil.example'),
      }),
      bad('[relay-2] another query', { url: call.url.href.replace('x=1', 'x=2') }),
      bad('[relay-2] another body', { body: hex(utf8('{}')) }),
      bad(
        '[relay-2] components in another order',
        {},
        {
          'signature-input': signature.replace('"@method" "@authority"', '"@authority" "@method"'),
        },
      ),
      bad(
        '[relay-2] one more parameter',
        {},
        { 'signature-input': signature.replace(';tag', ';nonce="x";tag') },
      ),
      bad(
        '[relay-3] another certificate',
        {},
        { 'keyferry-certificates': base64url(world.members[0]!.certificates[0]!) },
      ),
    ],
    bodies: [
      body('a call that is signed in its body', posted, 'ok', fromUtf8(read.base)),
      body('[relay-2] another call', concat(credentials, utf8('{}')), 'ERR_UNAUTHORIZED'),
      body('[relay-2] without credentials', call.body, 'ERR_UNAUTHORIZED'),
      body(
        '[relay-2] credentials of another form',
        concat(utf8('{}\n'), call.body),
        'ERR_UNAUTHORIZED',
      ),
    ],
    tickets: [
      vector('a ticket', { ticket, url: url.href, now: NOW, skew: 60 }, 'ok'),
      vector(
        '[relay-2] for another path',
        {
          ticket,
          url: url.href.replace('/x/', '/y/'),
          now: NOW,
          skew: 60,
        },
        'ERR_UNAUTHORIZED',
      ),
    ],
  }
}
