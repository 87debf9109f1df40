/**
 * HashiCorp Vault or OpenBao as a root: the hmac of their transit engine with sha2-256, as their documentation describes it. Tested against a server of
 * our own that checks the documented form; never run against the real ones.
 */
import { KeyferryError } from '../shared/errors.ts'
import { readSmallFile } from './given-secret.ts'
import { callKms, readMac, type Judge, type KmsRequest, type Patience } from './kms-call.ts'
import { type Place } from './place.ts'
import { type MacKey } from './root.ts'

/** Read for each call: an agent renews it. */
function token(file: string | null): string {
  const found =
    file === null
      ? process.env['VAULT_TOKEN']
      : readSmallFile(file, 'the sink of a Vault agent is such a file')
  if (!found)
    throw new KeyferryError('ERR_ROOT_DENIED', 'no token for Vault', {
      hint: 'give the place a token-file, or set VAULT_TOKEN',
    })
  return found
}

/** 503 is a sealed Vault, 412 and 472 to 474 a node that is behind. */
const judge: Judge = (status) => {
  if (status === 412 || status === 429 || status >= 472) return 'retry'
  return status === 401 || status === 403 ? 'ERR_ROOT_DENIED' : 'ERR_ROOT_KEY'
}

/** A transit key at one version: a rotated key would be another root. `patience` is for tests. */
export function vaultKey(place: Extract<Place, { kind: 'vault' }>, patience?: Patience): MacKey {
  const { key, address, mount, version, namespace, tokenFile } = place
  const request = (input: Uint8Array): KmsRequest => ({
    url: `${address}/v1/${mount}/hmac/${key}/sha2-256`,
    headers: {
      'content-type': 'application/json',
      'x-vault-request': 'true',
      'x-vault-token': token(tokenFile),
      ...(namespace === null ? {} : { 'x-vault-namespace': namespace }),
    },
    body: JSON.stringify({ input: Buffer.from(input).toString('base64'), key_version: version }),
  })
  return {
    async mac(input) {
      const answer = await callKms('Vault', () => request(input), judge, patience)
      const { hmac } = (answer['data'] ?? {}) as { hmac?: unknown }
      const prefix = `vault:v${version}:`
      if (typeof hmac !== 'string' || !hmac.startsWith(prefix))
        throw new KeyferryError(
          'ERR_ROOT',
          `Vault answers with another version than ${version} of the key`,
        )
      return readMac('Vault', hmac.slice(prefix.length))
    },
  }
}
