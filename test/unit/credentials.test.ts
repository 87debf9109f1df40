// Signatures where no headers can be: in front of what a client posts, and in tickets. Every other form is refused.
import { beforeAll, describe, expect, it } from 'vitest'
import { base64url, concat, fromBase64url, fromUtf8, utf8, type Bytes } from '../../shared/bytes.ts'
import { readSignedBody, signBody } from '../../shared/credentials.ts'
import { sha256 } from '../../shared/hash.ts'
import { signCall, verifyCall, type Call } from '../../shared/http-signature.ts'
import { encodeJson } from '../../shared/json.ts'
import { readTicket, signTicket } from '../../shared/ticket.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519 } from '../lib/fixtures-keys.ts'
import { makeIdentity, makeTenant, NOW, type Identity, type Tenant } from '../lib/fixtures.ts'
import { readCall } from '../vectors/read-call.ts'

let tenant: Tenant
let alice: Identity
let good: Record<string, string>
const call: Call = {
  method: 'POST',
  url: new URL('https://relay.example/v1/tenant/calls?after=1'),
  body: utf8('{"hello": "world"}'),
}

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeIdentity(tenant.clients, 'client', 'alice')
  good = await signCall(call, alice, NOW)
})

const header = (headers: Record<string, string>) => (name: string) => headers[name]
const certificate = () => ({ fingerprint: alice.fingerprint, spki: alice.key.spki })

describe('a call that is signed in its body', () => {
  const post = (of: Call = call, signer: Identity = alice) => signBody(of, signer, NOW)
  const open = async (body: Bytes, edit: Partial<Call> = {}, now = NOW) => {
    const read = await readSignedBody({ ...call, ...edit, body })
    await verifyCall(read.signature, certificate(), now, 60)
    return read.body
  }
  const refused = (body: Bytes, edit: Partial<Call> = {}, now = NOW) =>
    expectCode(open(body, edit, now), 'ERR_UNAUTHORIZED')
  /** The same with other credentials. */
  const bent = async (edit: object) => {
    const lines = fromUtf8(await post()).split('\n')
    const credentials = { ...(JSON.parse(lines[0]!) as object), ...edit }
    return utf8([JSON.stringify(credentials), ...lines.slice(1)].join('\n'))
  }

  it('is what it would be with headers', async () => {
    const posted = await post()
    expect(await open(posted)).toEqual(call.body)
    const { signature } = await readSignedBody({ ...call, body: posted })
    const inHeaders = readCall(call, header(good))
    expect(fromUtf8(signature.base)).toBe(fromUtf8(inHeaders.base))
    expect(signature.certificates).toEqual(inHeaders.certificates)
    // The body may have lines of its own, or nothing in it.
    for (const body of [utf8('a\nb\n'), utf8('\n'), utf8('')])
      expect(await open(await post({ ...call, body }))).toEqual(body)
  })

  it('[relay-2] with another body, method, path or query it is ERR_UNAUTHORIZED', async () => {
    const posted = await post()
    await refused(concat(posted, utf8(' ')))
    await refused(posted.subarray(0, -1))
    await refused(posted, { method: 'PUT' })
    for (const url of ['https://relay.example/v1/other/calls?after=1', `${call.url.href}2`])
      await refused(posted, { url: new URL(url) })
    await refused(posted, {}, NOW + 121)
  })

  it('[relay-2] without credentials, or with others than these, it is ERR_UNAUTHORIZED', async () => {
    for (const text of ['', '\n', '{}\n{}', '{"hello": "world"}', `[]\n{"hello": "world"}`])
      await refused(utf8(text))
    await open(await bent({}))
    const certificates = alice.certificates.map(base64url)
    for (const edit of [
      { more: 1 },
      { signature: undefined },
      { signature: base64url(new Uint8Array(63)) },
      { certificates: [] },
      { certificates: Array(5).fill(certificates[0]) },
      { certificates: [base64url(new Uint8Array(24_000)), ...certificates] },
      { input: `keyferry=${'x'.repeat(400)}` },
    ])
      await refused(await bent(edit))
    const long = await bent({})
    const spaces = utf8(' '.repeat(32_768 - long.indexOf(10)))
    expect(await open(concat(spaces, long))).toEqual(call.body)
    await refused(concat(utf8(' '), spaces, long))
  })

  it('[relay-3] signed by another key than that of its certificate it is ERR_UNAUTHORIZED', async () => {
    const stranger = await makeEd25519('stranger')
    await refused(await post(call, { ...alice, key: stranger }))
  })
})

describe('a ticket', () => {
  const url = new URL('wss://relay.example/v1/tenant/events')
  const open = async (ticket: string, at = url, now = NOW) =>
    verifyCall(readTicket(ticket, at), certificate(), now, 60)

  it('is verified', async () => {
    await open(await signTicket(url, alice, NOW))
  })

  it('[relay-2] for another path or host is ERR_UNAUTHORIZED', async () => {
    const ticket = await signTicket(url, alice, NOW)
    for (const other of [
      'wss://relay.example/v1/other/events',
      'wss://evil.example/v1/tenant/events',
    ]) {
      await expectCode(open(ticket, new URL(other)), 'ERR_UNAUTHORIZED')
    }
  })

  it('[relay-2] outside its window it is ERR_UNAUTHORIZED', async () => {
    const ticket = await signTicket(url, alice, NOW)
    await expectCode(open(ticket, url, NOW + 121), 'ERR_UNAUTHORIZED')
  })

  it('[relay-2] of another form it is ERR_UNAUTHORIZED', async () => {
    const ticket = await signTicket(url, alice, NOW)
    const refused = (other: string) => expectCode(() => readTicket(other, url), 'ERR_UNAUTHORIZED')
    await refused('A'.repeat(40_000))
    await refused('!')
    await refused(base64url(utf8('{')))
    await refused(base64url(encodeJson({ input: '' })))
    await refused(`${ticket}=`)
    // What it says is within the limit, the text is not.
    const said = JSON.parse(fromUtf8(fromBase64url(ticket))) as { certificates: string[] }
    const padding = base64url(new Uint8Array(10_000))
    said.certificates.push(padding, padding)
    await refused(base64url(encodeJson(said)))
    const [certificates, signature] = [['AB'], base64url(new Uint8Array(64))]
    await refused(
      base64url(encodeJson({ certificates, input: good['signature-input'], signature })),
    )
    expect(ticket.length).toBeLessThan(2_000)
    // Without a nonce, two tickets of one second would be one.
    const { input: own } = JSON.parse(fromUtf8(fromBase64url(ticket))) as { input: string }
    const bare = own.replace(/;nonce="[^"]+"/, '')
    expect(bare).not.toBe(own)
    await refused(
      base64url(
        encodeJson({
          certificates: alice.certificates,
          input: bare,
          signature: new Uint8Array(64),
        }),
      ),
    )
    expect(await signTicket(url, alice, NOW)).not.toBe(await signTicket(url, alice, NOW))
  })

  it('[relay-2] a call is no ticket, and a ticket no call', async () => {
    const posted = { ...call, method: 'GET', url }
    const credentials = fromBase64url(await signTicket(url, alice, NOW))
    const body = concat(credentials, utf8('\n'), call.body)
    await expectCode(readSignedBody({ ...posted, body }), 'ERR_UNAUTHORIZED')
    const input = good['signature-input']!
    const signature = readCall(call, header(good)).signature
    const certificates = alice.certificates
    const ticket = base64url(encodeJson({ certificates, input, signature }))
    await expectCode(open(ticket), 'ERR_UNAUTHORIZED')
  })
})

it('carries one certificate, also when another one takes its place meanwhile', async () => {
  const other = await makeIdentity(tenant.clients, 'client', 'ben')
  const renewed = (): Identity => {
    const signer = { ...alice }
    // Whatever comes next runs after the first wait.
    queueMicrotask(() => (signer.certificates = other.certificates))
    return signer
  }
  const ticket = readTicket(await signTicket(call.url, renewed(), NOW), call.url)
  expect(ticket.keyid).toEqual(sha256(ticket.certificates[0]!))
  const posted = { ...call, body: await signBody(call, renewed(), NOW) }
  const { signature } = await readSignedBody(posted)
  expect(signature.keyid).toEqual(sha256(signature.certificates[0]!))
})
