// Identities and key packages of the client, against the verifiers of relay and deriver.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCsr, parseCsr } from '../../shared/csr.ts'
import { verifyKeyPackage, verifyKeyRequest } from '../../shared/key-package.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { generateSigningKey, type SignatureAlgorithm } from '../../shared/signature.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { subtle } from '../../shared/platform.ts'
import { createIdentity, identityFromPem, loadIdentity, openIdentity } from '../../web/enroll.ts'
import { connect, createMemoryStore } from '../../web/index.ts'
import { createFileStore } from '../../web/node.ts'
import { createPackage, signRequest } from '../../web/package.ts'
import { isPackageDue } from '../../web/state.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { certifyKim } from '../lib/certify.ts'
import { crlsOf, DAY, issueSigner, makeWorld, random, uriOf, type World } from '../lib/world.ts'

const world = await makeWorld()
const trust = await verifyGenesis(world.trusts[0]!, world.tenant)
const { now } = world
const context = { trust, now, crls: crlsOf(world) }

const certify = (at: World, csrPem: string): Promise<string> =>
  certifyKim({ world: at, now }, csrPem)

async function pkcs8Pem(algorithm: SignatureAlgorithm) {
  const key = await generateSigningKey(algorithm, true)
  const pkcs8 = new Uint8Array(await subtle().exportKey('pkcs8', key.key))
  return { key, keyPem: encodePem('PRIVATE KEY', pkcs8) }
}

describe('an identity', () => {
  it.each([undefined, 'Ed25519', 'ES256'] as const)(
    'is made, certified and stored (%s)',
    async (algorithm) => {
      const store = createMemoryStore()
      const names: string[] = []
      const made = await createIdentity({
        name: 'Kim’s laptop',
        store,
        enroll: async (csr) => {
          names.push((await parseCsr(decodePem(csr, 'CERTIFICATE REQUEST')[0]!)).commonName)
          return certify(world, csr)
        },
        ...(algorithm === undefined ? {} : { algorithm }),
      })
      expect(names).toEqual(['Kim’s laptop'])
      expect([made.key.key.extractable, made.key.alg]).toEqual([false, algorithm ?? 'Ed25519'])
      expect(await loadIdentity({ store })).toEqual(made)
    },
  )

  it('is not taken with the certificate of another key, and nothing is stored', async () => {
    const store = createMemoryStore()
    const other = await createCsr(await generateSigningKey('Ed25519', false), 'other')
    const enroll = () => certify(world, encodePem('CERTIFICATE REQUEST', other))
    await expectCode(createIdentity({ name: 'kim', store, enroll }), 'ERR_CERT_PROFILE')
    await expectCode(
      createIdentity({ name: 'kim', store, enroll: () => Promise.resolve('<html>') }),
      'ERR_MALFORMED',
    )
    expect(await loadIdentity({ store })).toBe(null)
  })

  it.each(['Ed25519', 'ES256'] as const)('is read from PEM (%s)', async (algorithm) => {
    const { key, keyPem } = await pkcs8Pem(algorithm)
    const pem = await certify(world, encodePem('CERTIFICATE REQUEST', await createCsr(key, 'kim')))
    const identity = await identityFromPem(keyPem, pem)
    expect([identity.key.alg, identity.key.key.extractable]).toEqual([algorithm, false])
    const other = await pkcs8Pem(algorithm)
    await expectCode(identityFromPem(other.keyPem, pem), 'ERR_CERT_PROFILE')
    const another = await pkcs8Pem(algorithm === 'ES256' ? 'Ed25519' : 'ES256')
    await expectCode(identityFromPem(another.keyPem, pem), 'ERR_CERT_PROFILE')
  })

  it('is needed to connect, with key and certificate that belong together', async () => {
    const relay = await ClientRelay.start()
    const config = relay.config()
    await expectCode(connect({ config, store: createMemoryStore() }), 'ERR_STATE')
    const [one, two] = await Promise.all(
      ['a', 'b'].map((name) => issueSigner(relay.world.cas.client, uriOf('client', name), now)),
    )
    const identity = { key: one!.key, certificates: two!.certificates }
    await expectCode(connect({ config, identity, store: createMemoryStore() }), 'ERR_CERT_PROFILE')
  })

  it('comes out of the store when none is given', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    await createIdentity({ name: 'kim', store, enroll: (csr) => certify(relay.world, csr) })
    const client = await connect({
      config: relay.config(),
      store,
      fetch: relay.fetch,
      now: () => relay.now,
      WebSocket: null,
    })
    expect((await client.keyring('notes')).state).toBe('ready')
    client.close()
  })
})

describe('a key package', () => {
  it('[package-1] [package-2] [package-3] [request-1] is what relay and deriver take, with its request', async () => {
    const identity = await issueSigner(world.cas.client, uriOf('client', 'kim'), now)
    const made = await createPackage(identity, trust, 7, now, false)
    const verified = await verifyKeyPackage(made.envelope, context)
    expect([verified.body.version, verified.body.suite, verified.hash]).toEqual([
      7,
      'MLKEM768-X25519',
      made.hash,
    ])
    expect(verified.body.expiresAt - verified.body.issuedAt).toBe(30 * DAY)
    const nonce = random(16)
    const ids = [random(16)]
    const request = await signRequest(identity, world.tenant, ids, made.hash, nonce, now)
    const { body } = await verifyKeyRequest(request, verified, context)
    expect([body.keyrings, body.nonce]).toEqual([ids, nonce])
  })

  it('is replaced at half of its life, with a new certificate, or when its suite goes', async () => {
    const identity = await issueSigner(world.cas.client, uriOf('client', 'kim'), now)
    const made = await createPackage(identity, trust, 1, now, false)
    const renewed = await issueSigner(world.cas.client, uriOf('client', 'kim'), now)
    const body = { ...trust.body, suites: ['P-256' as const] }
    expect(await isPackageDue(made, identity, trust, now + 15 * DAY)).toBe(false)
    expect(await isPackageDue(made, identity, trust, now + 15 * DAY + 1)).toBe(true)
    expect(await isPackageDue(made, renewed, trust, now)).toBe(true)
    expect(await isPackageDue(made, identity, { ...trust, body }, now)).toBe(true)
  })
})

describe('the identity of a store', () => {
  const spkiOf = async (csrPem: string) =>
    (await parseCsr(decodePem(csrPem, 'CERTIFICATE REQUEST')[0]!)).spki

  it('is made by one of those who start together', async () => {
    const store = createMemoryStore()
    let asked = 0
    const enroll = (csr: string) => {
      asked++
      return certify(world, csr)
    }
    const open = () => openIdentity({ name: 'kim', store, enroll })
    const [first, second] = await Promise.all([open(), open()])
    expect(second).toBe(first)
    expect(await open()).toBe(first)
    expect(asked).toBe(1)
  })

  it('has the key of the first request where the answer was lost, and a new one after a denial', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    try {
      const path = join(folder, 'state.json')
      const keys: Uint8Array[] = []
      const answers: ((csr: string) => Promise<string>)[] = [
        () => Promise.reject(new Error('the page was closed')),
        () => Promise.reject(new KeyferryError('ERR_DENIED')),
        (csr) => certify(world, csr),
      ]
      const enroll = async (csr: string) => {
        keys.push(await spkiOf(csr))
        return answers[keys.length - 1]!(csr)
      }
      // As after a restart: each time out of the file.
      const open = () => openIdentity({ name: 'kim', store: createFileStore(path), enroll })
      await expect(open()).rejects.toThrow('the page was closed')
      expect(await loadIdentity({ store: createFileStore(path) })).toBe(null)
      await expectCode(open(), 'ERR_DENIED')
      const identity = await open()
      expect(keys[1]).toEqual(keys[0])
      expect(keys[2]).not.toEqual(keys[0])
      expect(identity.key.spki).toEqual(keys[2])
      expect((await open()).key.spki).toEqual(keys[2])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
