/** What a client starts from, as files: key, certificate and app config. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueClient } from '../../deriver/ca.ts'
import { appConfig, type Deriver } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey } from '../../shared/signature.ts'

/** Writes `me.key`, `me.pem` and `keyferry.json` of a new client, certified by the built-in CA of an unsealed tenant. */
export async function writeClientFiles(
  folder: string,
  tenant: string,
  { store }: Pick<Deriver, 'store'>,
): Promise<void> {
  const key = await generateSigningKey('ES256', true)
  const issuer = await readCa(tenant, 'ca-client', null)
  const uri = 'keyferry://client.acme.example/me'
  const now = Math.floor(Date.now() / 1000)
  const certificate = await issueClient(store, issuer, await createCsr(key, 'me'), uri, now)
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', key.key))
  writeFileSync(join(folder, 'me.key'), encodePem('PRIVATE KEY', pkcs8))
  writeFileSync(join(folder, 'me.pem'), encodePem('CERTIFICATE', certificate))
  writeFileSync(join(folder, 'keyferry.json'), JSON.stringify(await appConfig(store)))
}
