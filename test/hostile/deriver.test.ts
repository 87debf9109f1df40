/** What a relay and its friends can put into the mailbox of a real deriver: whoever is not granted gets no cell, by one code. */
import { beforeEach, describe, expect, it } from 'vitest'
import { issueRoleCrl } from '../../deriver/ca.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { type RequestBody } from '../../shared/deriver-calls.ts'
import { base64url, fromUtf8, utf8, type Bytes } from '../../shared/bytes.ts'
import { signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { ask, codeOf, leaves, notes, tenant, useTenant } from '../lib/deriver.ts'
import { certify, EVERYTHING, WEAK_SPKI } from '../lib/odd-signer.ts'
import { makeClient, makePackage, makeRequest, makeTenant, type TestClient } from '../lib/tenant.ts'

useTenant()

let ada: TestClient
let mallory: TestClient
beforeEach(async () => {
  ada = await makeClient(tenant, 'ada')
  mallory = await makeClient(tenant, 'mallory')
})

interface Attack {
  row: string
  actor: string
  /** `ERR_DENIED` for what is refused by the deriver's signed word. */
  code: string
  make: () => Promise<RequestBody>
  /** Seconds after the request was made. */
  later?: number
}

const honest = (client = ada, nonce?: Bytes): Promise<RequestBody> =>
  makeRequest(tenant, client, [notes], nonce)

/** The body of an envelope changed, its signature kept. */
function bend(envelope: Envelope, change: (body: Record<string, unknown>) => object): Envelope {
  const body = JSON.parse(fromUtf8(envelope.payload)) as Record<string, unknown>
  const sorted = Object.entries(change(body)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { ...envelope, payload: utf8(JSON.stringify(Object.fromEntries(sorted))) }
}

/** A request of ada's whose package is another one. */
async function withPackage(keyPackage: Envelope): Promise<RequestBody> {
  return { ...(await honest()), package: keyPackage }
}

/** A client of a CA that calls itself as the customer's does. */
async function stranger(): Promise<TestClient> {
  const other = await makeTenant({ now: tenant.clock.now })
  const client = await makeClient(other, 'ada')
  other.remove()
  return { ...client, ...(await makePackage(tenant, client, 1)) }
}

const ATTACKS: readonly Attack[] = [
  {
    row: '3.3 the relay supplies the public key, W2 recipient substitution: another encryption key in the package',
    actor: 'relay',
    code: 'ERR_SIGNATURE',
    make: async () => {
      const { payload } = mallory.keyPackage
      const { key } = JSON.parse(fromUtf8(payload)) as { key: string }
      return withPackage(bend(ada.keyPackage, (body) => ({ ...body, key })))
    },
  },
  {
    row: 'W2 recipient substitution: the package of another client',
    actor: 'relay + other client',
    code: 'ERR_KEY_PACKAGE',
    make: () => withPackage(mallory.keyPackage),
  },
  {
    row: 'W3 a further key for a client: signed by a key of the relay’s own CA',
    actor: 'relay',
    code: 'ERR_PATH_INVALID',
    make: async () => honest(await stranger()),
  },
  {
    row: 'W3 a further key for a client: signed by another client under its certificate',
    actor: 'relay + other client',
    code: 'ERR_SIGNATURE',
    make: async () => {
      const { recipient } = mallory
      const body = JSON.parse(fromUtf8(ada.keyPackage.payload)) as object
      const bent = { ...body, key: recipient.publicKey }
      const made = await signWithCertificate('package', bent, mallory.key, ada.certificates)
      return withPackage(made)
    },
  },
  {
    row: 'W3 a further key for a client: the other client’s own certificate in its name',
    actor: 'relay + other client',
    code: 'ERR_SIGNER',
    make: async () => {
      const signer = sha256(ada.certificates[0]!)
      const body = JSON.parse(fromUtf8(mallory.keyPackage.payload)) as object
      const bent = { ...body, signer }
      return withPackage(
        await signWithCertificate('package', bent, mallory.key, mallory.certificates),
      )
    },
  },
  {
    row: '3.4 forged request: without a signature',
    actor: 'relay',
    code: 'ERR_SCHEMA',
    make: async () => {
      const { package: keyPackage, request } = await honest()
      return { package: keyPackage, request: { ...request, signatures: [] } }
    },
  },
  {
    row: '3.4 forged request: of another client, with this one’s package',
    actor: 'relay + other client',
    code: 'ERR_KEY_PACKAGE',
    make: async () => ({ ...(await honest(mallory)), package: ada.keyPackage }),
  },
  {
    row: '3.4 widened request, W16: a keyring more than was asked for',
    actor: 'relay',
    code: 'ERR_SIGNATURE',
    make: async () => {
      const { package: keyPackage, request } = await honest()
      const more = (body: Record<string, unknown>): object => ({
        ...body,
        keyrings: [...(body['keyrings'] as string[]), 'AAAAAAAAAAAAAAAAAAAAAA'],
      })
      return { package: keyPackage, request: bend(request, more) }
    },
  },
  {
    row: '3.4 redirected request: of another tenant',
    actor: 'relay + other tenant',
    code: 'ERR_TENANT',
    make: async () => {
      const other = await makeTenant({ now: tenant.clock.now })
      const client = await makeClient(other, 'ada')
      const request = await makeRequest(other, client, [notes])
      other.remove()
      return request
    },
  },
  {
    row: '3.4 delayed request: delivered when it is over',
    actor: 'relay',
    code: 'ERR_REQUEST_EXPIRED',
    make: () => honest(),
    later: 661,
  },
  {
    row: '3.4 request of the future',
    actor: 'other clock',
    code: 'ERR_FUTURE',
    make: () => honest(),
    later: -61,
  },
  {
    row: '3.4 replay: the nonce of an answered request for another one',
    actor: 'client',
    code: 'ERR_REPLAY',
    make: async () => {
      const nonce = new Uint8Array(16).fill(7)
      await ask(ada, [new Uint8Array(16)], nonce)
      return honest(ada, nonce)
    },
  },
  {
    row: '3.3 stale key package: an older one after a rotation',
    actor: 'relay + thief of the old key',
    code: 'ERR_DENIED',
    make: async () => {
      await ask({ ...ada, ...(await makePackage(tenant, ada, 2)) })
      return honest(ada)
    },
  },
  {
    row: '3.3 stale key package: another one of the same version',
    actor: 'client',
    code: 'ERR_DENIED',
    make: async () => {
      await ask(ada)
      return honest({ ...ada, ...(await makePackage(tenant, ada, 1)) })
    },
  },
  {
    row: '3.3 fast-forward of the package version, which would lock the client out',
    actor: 'client',
    code: 'ERR_DENIED',
    make: async () => honest({ ...ada, ...(await makePackage(tenant, ada, 1_001)) }),
  },
  {
    row: 'W17 downgrade: a suite that the trust document does not allow',
    actor: 'client',
    code: 'ERR_SUITE',
    make: async () => {
      const { trust } = tenant
      tenant.trust = { ...trust, body: { ...trust.body, suites: ['X25519'] } }
      return honest({ ...ada, ...(await makePackage(tenant, ada, 1, 'P-256')) })
    },
  },
  {
    row: '3.3 low-order X25519: a package key of zeros',
    actor: 'client',
    code: 'ERR_KEY_PACKAGE',
    make: async () => {
      const body = JSON.parse(fromUtf8(ada.keyPackage.payload)) as object
      const bent = { ...body, key: new Uint8Array(32) }
      const made = await signWithCertificate('package', bent, ada.key, ada.certificates)
      return honest({ ...ada, keyPackage: made })
    },
  },
  {
    row: '3.1 a deriver’s certificate asks as a client',
    actor: 'thief of the deriver’s key',
    code: 'ERR_PATH_INVALID',
    make: async () => {
      const { key, certificates } = tenant.keys.signer
      const made = await makePackage(tenant, { key, certificates }, 1)
      return honest({ key, certificates, uri: '', ...made })
    },
  },
  {
    row: 'A9 a revoked client asks again',
    actor: 'thief of the client’s key',
    code: 'ERR_CERT_REVOKED',
    make: async () => {
      revokeClient(tenant.store, ada.uri, tenant.clock.now)
      await issueRoleCrl(tenant.store, tenant.clients, 'client', tenant.clock.now)
      return honest()
    },
  },
  {
    row: 'A9 a revoked client asks before any list names it',
    actor: 'thief of the client’s key',
    code: 'ERR_DENIED',
    make: async () => {
      revokeClient(tenant.store, ada.uri, tenant.clock.now)
      return honest()
    },
  },
  {
    row: 'A13, W16 a client asks for a keyring that no rule gives it, or that is not there',
    actor: 'client',
    code: 'ERR_DENIED',
    make: () => makeRequest(tenant, ada, [new Uint8Array(16).fill(9)]),
  },
  {
    row: 'W9 nobody: a request and a package without certificates',
    actor: 'relay',
    code: 'ERR_PATH_INVALID',
    make: async () => {
      const { package: keyPackage, request } = await honest()
      const bare = { certificates: [] }
      return { package: { ...keyPackage, ...bare }, request: { ...request, ...bare } }
    },
  },
  {
    row: '3.3 small-order Ed25519: a client’s certificate whose key "signs" everything',
    actor: 'relay + such a certificate',
    code: 'ERR_WEAK_KEY',
    make: async () => {
      const weak = await certify(tenant.clients, WEAK_SPKI, ada.uri, tenant.clock.now)
      const signer = sha256(weak)
      const forge = (envelope: Envelope, change: object): Envelope => ({
        ...bend(envelope, (body) => ({ ...body, signer: base64url(signer), ...change })),
        certificates: [weak],
        signatures: [{ keyid: signer, sig: EVERYTHING }],
      })
      const keyPackage = forge(ada.keyPackage, {})
      const hash = base64url(documentHash(keyPackage))
      return { package: keyPackage, request: forge((await honest()).request, { package: hash }) }
    },
  },
  {
    row: '3.3 cross-type: a key package where the request belongs',
    actor: 'relay',
    code: 'ERR_PAYLOAD_TYPE',
    make: async () => ({ package: ada.keyPackage, request: ada.keyPackage }),
  },
]

/** How a request was answered. */
async function answerTo(body: RequestBody, now: number): Promise<string> {
  const { store, keys, trust } = tenant
  const handled = handleRequest(store, keys, trust, body, now)
  const code = await codeOf(handled)
  if (code !== 'none') return code
  const { granted, refusals } = await handled
  return granted.length === 0 && refusals.length > 0 ? 'ERR_DENIED' : 'granted'
}

describe('a deriver', () => {
  for (const { row, actor, code, make, later = 0 } of ATTACKS) {
    it(`${row} · ${actor} · ${code}`, async () => {
      const body = await make()
      const before = leaves()
      expect(await answerTo(body, tenant.clock.now + later)).toBe(code)
      expect(leaves()).toEqual(before)
      // Nothing is lost: the honest one is served as before.
      const ben = await makeClient(tenant, 'ben')
      expect((await ask(ben)).granted).toEqual(['notes'])
    })
  }

  it('3.4 replay: a request a hundred times · relay · one answer, one cell', async () => {
    const body = await honest()
    const outcomes = new Set<string>()
    for (let i = 0; i < 100; i++) outcomes.add(await answerTo(body, tenant.clock.now + i))
    expect([...outcomes]).toEqual(['granted'])
    expect(leaves()).toHaveLength(1)
  })

  it('3.3 malleable ECDSA: the same request under the other signature that verifies · relay · one answer, one cell', async () => {
    expect(ada.key.alg).toBe('ES256')
    const { package: keyPackage, request } = await honest()
    await answerTo({ package: keyPackage, request }, tenant.clock.now)
    const before = [leaves(), tenant.store.counter('change')]
    const [signature] = request.signatures
    const other = { ...request, signatures: [{ ...signature!, sig: negateS(signature!.sig) }] }
    expect(documentHash(other)).toEqual(documentHash(request))
    await answerTo({ package: keyPackage, request: other }, tenant.clock.now)
    expect([leaves(), tenant.store.counter('change')]).toEqual(before)
  })
})

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** `r || n − s`, which verifies as `r || s` does. */
function negateS(sig: Bytes): Bytes {
  const s = BigInt(`0x${Buffer.from(sig.subarray(32)).toString('hex')}`)
  const text = (N - s).toString(16).padStart(64, '0')
  return new Uint8Array([...sig.subarray(0, 32), ...Buffer.from(text, 'hex')])
}
