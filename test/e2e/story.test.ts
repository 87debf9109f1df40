/** The main job with the customer's own CA, made by OpenSSL: deriver, relay in workerd, and Node clients, each with the real parts. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { importCrl } from '../../deriver/crls.ts'
import { createRoot } from '../../deriver/root.ts'
import {
  appConfig,
  createKeyring,
  initTenant,
  openDeriver,
  rotateKeyring,
  type Deriver,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { keyPath, importPrivateKey } from '../../deriver/key-files.ts'
import { type Bytes, fromBase32 } from '../../shared/bytes.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { channelInput, kekInput, versionInput } from '../../shared/kdf.ts'
import { connect, createMemoryStore, type Identity, type Keyferry } from '../../web/index.ts'
import { createIdentity, identityFromPem } from '../../web/enroll.ts'
import {
  makeOpensslCa,
  OPENSSL_LEAVES,
  type OpensslAlgorithm,
  type OpensslCa,
} from '../lib/openssl-ca.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'none'
  } catch (error) {
    return isKeyferryError(error) ? error.code : String(error)
  }
}

describe.each(['p256', 'ed25519'] as const)(
  'with an OpenSSL CA (%s)',
  (algorithm: OpensslAlgorithm) => {
    let directory: string
    let relay: RelayProcess
    let ca: OpensslCa
    let deriver: Deriver
    let config: Awaited<ReturnType<typeof appConfig>>
    const stop = new AbortController()
    const events: ServiceEvent[] = []
    const clients: Keyferry[] = []
    /** Every answer that any client had from the relay. */
    const answers: string[] = []
    let running: Promise<void>

    /** The CA's own leaves; for others a key of their own and a certification request. */
    async function identity(name: string): Promise<Identity> {
      if (!Object.hasOwn(OPENSSL_LEAVES, name)) {
        const enroll = async (csrPem: string): Promise<string> => {
          const [csr] = decodePem(csrPem, 'CERTIFICATE REQUEST')
          const path = await ca.issueFor(csr!, 'client', name)
          return path.map((der) => encodePem('CERTIFICATE', der)).join('')
        }
        return createIdentity({ name, store: createMemoryStore(), enroll })
      }
      const { certificates, pkcs8 } = await ca.leaf(name)
      return identityFromPem(
        encodePem('PRIVATE KEY', pkcs8),
        certificates.map((der) => encodePem('CERTIFICATE', der)).join(''),
      )
    }

    async function client(name: string): Promise<Keyferry> {
      const recording: typeof fetch = async (input, init) => {
        const response = await fetch(input, init)
        answers.push(Buffer.from(await response.clone().arrayBuffer()).toString('latin1'))
        return response
      }
      const made = await connect({
        config,
        identity: await identity(name),
        store: createMemoryStore(),
        fetch: recording,
      })
      clients.push(made)
      return made
    }

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
      ca = await makeOpensslCa(algorithm)
      relay = await spawnRelay(join(directory, 'relay'), 'invite')
      const tenant = join(directory, 'tenant')
      await initTenant({
        directory: tenant,
        organization: 'Acme',
        domain: 'acme.example',
        relays: [relay.url],
        origins: [],
        passphrase: null,
        anchors: { clients: [ca.root], derivers: [ca.root] },
        now: now(),
      })
      const { certificates, pkcs8 } = await ca.leaf('deriver-1')
      const signer = { key: await importPrivateKey(pkcs8), certificates }
      deriver = await openDeriver({
        directory: tenant,
        passphrase: null,
        signer,
        invite: 'invite',
        report: (event) => events.push(event),
      })
      for (const crl of ca.crls) await importCrl(deriver.store, crl, [ca.root, ca.issuing], now())
      createKeyring(
        deriver.store,
        {
          name: 'notes',
          rules: ['alice', 'bob'].map((name) => `keyferry://client.acme.example/${name}`),
        },
        now(),
      )
      createKeyring(
        deriver.store,
        { name: 'secret', rules: ['keyferry://client.acme.example/alice'] },
        now(),
      )
      running = deriver.run(stop.signal)
      config = await appConfig(deriver.store)
    })
    afterAll(async () => {
      for (const one of clients) one.close()
      stop.abort()
      await running
      deriver.close()
      await relay.stop()
      rmSync(directory, { recursive: true, force: true })
      await ca.remove()
    })

    it('a key travels from the deriver through the relay to two clients, and a third has no grant', async () => {
      const alice = await client('alice')
      const bob = await client('bob')
      const notes = await alice.keyring('notes')
      const message = await notes.encrypt('a note for both', { context: 'note/1' })
      const theirs = await bob.keyring('notes')
      expect(await theirs.decrypt(message, { context: 'note/1', as: 'text' })).toBe(
        'a note for both',
      )
      expect(await codeOf(theirs.decrypt(message, { context: 'note/2' }))).toBe('ERR_OPEN')
      const secret = await alice.keyring('secret')
      const hidden = await secret.encrypt('for alice alone')
      expect(await codeOf(theirs.decrypt(hidden))).toBe('ERR_UNKNOWN_KEY')
      expect(await codeOf(bob.keyring('secret'))).toBe('ERR_DENIED')
      const carol = await client('carol')
      for (const name of ['notes', 'secret'])
        expect(await codeOf(carol.keyring(name))).toBe('ERR_DENIED')
    })

    it("an expired certificate, a revoked one and a deriver's are not served as clients", async () => {
      for (const name of ['eve', 'mallory', 'deriver-1']) {
        expect([
          name,
          await codeOf(client(name).then((one) => one.keyring('notes', { timeout: 3_000 }))),
        ]).toEqual([name, 'ERR_TIMEOUT'])
      }
    })

    it('rotation reaches clients, and earlier messages stay readable', async () => {
      const [alice, bob] = clients
      const notes = await alice!.keyring('notes')
      const before = await notes.encrypt('before')
      const version = notes.version
      rotateKeyring(deriver.store, 'notes', now())
      await expect.poll(() => notes.version, { timeout: 10_000 }).toBe(version + 1)
      const after = await notes.encrypt('after')
      const theirs = await bob!.keyring('notes')
      expect(await theirs.decrypt(before, { as: 'text' })).toBe('before')
      expect(await theirs.decrypt(after, { as: 'text' })).toBe('after')
      expect(await codeOf(theirs.decrypt(before, { minVersion: version + 1 }))).toBe(
        'ERR_KEY_VERSION',
      )
    })

    it('[deriver-4] a certificate revoked with openssl loses what comes after', async () => {
      const [alice, bob] = clients
      const notes = await alice!.keyring('notes')
      const theirs = await bob!.keyring('notes')
      const old = await notes.encrypt('bob may read this')
      const version = notes.version
      const openssl = (...args: string[]) =>
        execFileSync('openssl', args, {
          cwd: ca.dir,
          stdio: 'ignore',
          env: { ...process.env, SAN_URI: 'unused:' },
        })
      openssl('ca', '-batch', '-config', 'ca.cnf', '-name', 'issuing', '-revoke', 'bob.pem')
      openssl('ca', '-config', 'ca.cnf', '-name', 'issuing', '-gencrl', '-out', 'next.crl')
      const pem = readFileSync(join(ca.dir, 'next.crl'), 'utf8')
      const der = new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'))
      await importCrl(deriver.store, der, [ca.root, ca.issuing], now())
      await expect.poll(() => notes.version, { timeout: 10_000 }).toBe(version + 1)
      const message = await notes.encrypt('bob may not read this')
      expect(await codeOf(theirs.decrypt(message))).not.toBe('none')
      // The relay hands over the list, and it is the list that counts.
      await expect.poll(() => theirs.state, { timeout: 10_000 }).toBe('revoked')
      expect(await codeOf(theirs.encrypt('x'))).toBe('ERR_CERT_REVOKED')
      expect(await theirs.decrypt(old, { as: 'text' })).toBe('bob may read this')
    })

    it('what the relay stored and answered holds no key and no name of a keyring', () => {
      const { store } = deriver
      const root = createRoot(
        readKeyFile(keyPath(join(directory, 'tenant'), 'master'), 'master', null),
      )
      const tenant = fromBase32(config.tenant)
      type Row = Record<string, Bytes> &
        Record<'incarnation' | 'generation' | 'version' | 'algorithm', number>
      const bytes = (value: Bytes): Bytes => new Uint8Array(value)
      const secrets = [
        readKeyFile(keyPath(join(directory, 'tenant'), 'master'), 'master', null),
        ...store
          .all<Row>('SELECT * FROM generations')
          .map((r) =>
            root.mac(
              kekInput(
                tenant,
                bytes(r['keyring']!),
                r.incarnation,
                r.generation,
                bytes(r['salt']!),
              ),
            ),
          ),
        ...store
          .all<Row>('SELECT * FROM devices')
          .map((r) =>
            root.mac(channelInput(tenant, bytes(r['package_hash']!), bytes(r['channel_salt']!))),
          ),
        ...store.all<Row>('SELECT * FROM versions').map((r) =>
          root.mac(
            versionInput(
              {
                tenant,
                keyring: bytes(r['keyring']!),
                incarnation: r.incarnation,
                version: r.version,
                algorithm: r.algorithm,
              },
              bytes(r['nonce']!),
              bytes(r['salt']!),
            ),
          ),
        ),
      ]
      expect(secrets.length).toBeGreaterThan(6)
      const files = readdirSync(join(directory, 'relay'), {
        recursive: true,
        encoding: 'utf8',
        withFileTypes: true,
      })
        .filter((file) => file.isFile())
        .map((file) => readFileSync(join(file.parentPath, file.name)).toString('latin1'))
      const stored = files.join('\n') + answers.join('\n')
      // The search finds what is there: a public commitment.
      const id = Buffer.from(store.get<{ key_id: Bytes }>('SELECT key_id FROM versions')!.key_id)
      expect(stored.includes(id.toString('latin1'))).toBe(true)
      for (const secret of secrets) {
        const buffer = Buffer.from(secret)
        for (const form of [
          buffer.toString('latin1'),
          buffer.toString('hex'),
          buffer.toString('base64').replace(/=+$/, ''),
          buffer.toString('base64url'),
        ]) {
          expect(stored.includes(form)).toBe(false)
        }
      }
      for (const word of ['a note for both', '"notes"', 'secret"'])
        expect(stored.includes(word)).toBe(false)
    })
  },
)
