/** A real tenant in a temporary directory, with its keys open, and real clients of it, on a clock that the test moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issueClient, issueDeriver, issueRoleCrl } from '../../deriver/ca.ts'
import { createRoot } from '../../deriver/root.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { openStore, type Store } from '../../deriver/store.ts'
import { type PublishKeys } from '../../deriver/publish.ts'
import { type InitOptions } from '../../deriver/tenant.ts'
import { keyPath, readCa, readSigningKey } from '../../deriver/key-files.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { storePath } from '../../deriver/store.ts'
import { type Issuer } from '../../shared/issue.ts'
import { type RequestBody } from '../../shared/deriver-calls.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { sha256 } from '../../shared/hash.ts'
import { createHpke, type RecipientKey } from '../../shared/hpke.ts'
import { generateSigningKey, type SigningKey } from '../../shared/signature.ts'
import { type Suite, type TrustDocument } from '../../shared/trust.ts'
import { initAcme } from './init-acme.ts'

/** A test's clock, in seconds. */
export interface Clock {
  now: number
}

/** An open tenant. */
export interface TestTenant {
  directory: string
  store: Store
  keys: PublishKeys & { authority: SigningKey[]; signer: Signer }
  trust: TrustDocument
  clients: Issuer
  derivers: Issuer
  clock: Clock
  remove(): void
}

/** Makes and opens a tenant with built-in CAs and unsealed keys. */
export async function makeTenant(options: Partial<InitOptions> = {}): Promise<TestTenant> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const clock = { now: options.now ?? 1_800_000_000 }
  await initAcme(directory, ['http://127.0.0.1:9'], { now: clock.now, ...options })
  const store = openStore(storePath(directory))
  const derivers = await readCa(directory, 'ca-deriver', null)
  const clients = await readCa(directory, 'ca-client', null)
  await issueRoleCrl(store, clients, 'client', clock.now)
  const keys = {
    root: createRoot(readKeyFile(keyPath(directory, 'master'), 'master', null)),
    authority: [await readSigningKey(directory, 'authority', null)],
    signer: await issueDeriver(
      store,
      derivers,
      'keyferry://deriver.acme.example/deriver-1',
      clock.now,
    ),
  }
  const trust = await newestTrust(store)
  const tenant: TestTenant = {
    directory,
    store,
    keys,
    trust,
    clients,
    derivers,
    clock,
    remove() {
      // A test may have opened it anew.
      tenant.store.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return tenant
}

/** A client device: certificate key and current key package. */
export interface TestClient {
  key: SigningKey
  certificates: Bytes[]
  uri: string
  version: number
  recipient: RecipientKey
  keyPackage: Envelope
}

/** Makes a key package of a client. */
export async function makePackage(
  tenant: TestTenant,
  client: Pick<TestClient, 'key' | 'certificates'>,
  version: number,
  suite: Suite = 'X25519',
): Promise<Pick<TestClient, 'version' | 'recipient' | 'keyPackage'>> {
  const { now } = tenant.clock
  const recipient = await createHpke(suite).generate(false)
  const body = {
    expiresAt: now + 30 * 86_400,
    issuedAt: now,
    key: recipient.publicKey,
    signer: sha256(client.certificates[0]!),
    suite,
    tenant: tenant.trust.tenant,
    version,
  }
  const keyPackage = await signWithCertificate('package', body, client.key, client.certificates)
  return { version, recipient, keyPackage }
}

/** Issues a certificate for a new device and makes its first key package. */
export async function makeClient(
  tenant: TestTenant,
  name: string,
  suite?: Suite,
): Promise<TestClient> {
  const key = await generateSigningKey('ES256', false)
  const uri = `keyferry://client.acme.example/${name}`
  const csr = await createCsr(key, name)
  const certificates = [await issueClient(tenant.store, tenant.clients, csr, uri, tenant.clock.now)]
  return { key, certificates, uri, ...(await makePackage(tenant, { key, certificates }, 1, suite)) }
}

/** A signed key request, with its package. */
export async function makeRequest(
  tenant: TestTenant,
  client: TestClient,
  keyrings: Bytes[],
  nonce: Bytes = crypto.getRandomValues(new Uint8Array(16)),
): Promise<RequestBody> {
  const { now } = tenant.clock
  const body = {
    expiresAt: now + 600,
    issuedAt: now,
    keyrings,
    nonce,
    package: documentHash(client.keyPackage),
    signer: sha256(client.certificates[0]!),
    tenant: tenant.trust.tenant,
  }
  return {
    package: client.keyPackage,
    request: await signWithCertificate('request', body, client.key, client.certificates),
  }
}
