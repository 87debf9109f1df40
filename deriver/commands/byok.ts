/** Keys that come from elsewhere, and keys that go elsewhere. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { hex } from '../../shared/bytes.ts'
import { MAX_IMPORT } from '../../shared/bundle.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { exportVersion } from '../export-key.ts'
import { cancelImport, importKey } from '../import-key.ts'
import { readAuthorityKeys } from '../key-files.ts'
import { openRoots } from '../roots.ts'
import { date } from '../show.ts'
import { newestTrust } from '../trust.ts'
import { METHODS, TARGETS, type WrapRequest } from '../wrap-for.ts'
import {
  command,
  FLAG,
  operand,
  passphraseIfSealed,
  readFile,
  required,
  seconds,
  TEXT,
  TEXTS,
  usage,
  withStore,
  writeFileWhole,
  type Command,
  type Invocation,
} from './command.ts'

/** Bytes of the largest wrapping key file. */
const MAX_WRAPPING = 8_192

interface ExportOptions {
  for?: string[]
  'wrapping-key'?: string[]
  method?: string[]
  kid?: string
}

/** One request for each --for, with the wrapping key and method of the same place. */
function readRequests(options: ExportOptions): WrapRequest[] {
  const targets = options.for ?? []
  const files = options['wrapping-key'] ?? []
  const methods = options.method ?? []
  if (targets.length === 0) usage('--for is needed')
  if (files.length !== targets.length)
    usage('each --for takes one --wrapping-key, in the same order')
  if (methods.length > 0 && methods.length !== targets.length)
    usage('give no --method, or one for each --for, in the same order')
  return targets.map((text, i) => {
    const target = TARGETS.find((one) => one === text) ?? usage(`--for is ${TARGETS.join(', ')}`)
    const method = methods[i] ?? METHODS[target][0]!
    const wrappingKey = readFile(files[i]!, MAX_WRAPPING)
    const kid = target === 'azure-keyvault' ? options.kid : undefined
    return { target, method, wrappingKey, ...(kid !== undefined && { kid }) }
  })
}

/** `NAME@V`. */
function readVersionName(text: string): { name: string; version: number } {
  const [, name, version] = /^(.+)@([1-9]\d{0,8})$/.exec(text) ?? []
  return name === undefined
    ? usage('KEYRING@VERSION is needed, such as notes@3')
    : { name, version: Number(version) }
}

const targetLines = TARGETS.map(
  (target) => `  ${target.padEnd(15)} ${METHODS[target].join(', ')}`,
).join('\n')

async function opened(invocation: Invocation) {
  const passphrase = await passphraseIfSealed(invocation)
  return { directory: invocation.directory, passphrase }
}

export const byokCommands: Record<string, Command> = {
  export: command({
    summary: 'wrap the key of a version for a key service or an HSM',
    operands: 1,
    options: { for: TEXTS, 'wrapping-key': TEXTS, method: TEXTS, kid: TEXT, out: TEXT },
    help: `usage: keyferry export KEYRING@VERSION --for TARGET --wrapping-key FILE [--method METHOD] [--kid URL] --out DIR [--json]

Wraps the 32 bytes of a version's key (of an imported version, the imported bytes) under the wrapping key that the other side gave out, and writes
them into DIR with one record that the authority signs: which key id went where. The log says so first. For several places at once, repeat
--for and --wrapping-key. An erasable keyring is not exported. Methods by target, the default first:

${targetLines}

AWS documents RSA_AES_KEY_WRAP_SHA_256 for RSA and elliptic-curve keys; for the keys of Keyferry take the default. FILE is an RSA public key as
PEM or DER; for CKM_AES_KEY_WRAP_KWP the 32 bytes of an AES key. --kid is the identifier of Azure's key exchange key. None of the
services was ever asked by us: the formats are those of their documentation, and are checked with OpenSSL and SoftHSM2.

example: keyferry export notes@1 --for aws-kms --wrapping-key WrappingPublicKey.bin --out notes-1
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const which = readVersionName(operand(invocation, 'KEYRING@VERSION'))
        const requests = readRequests(options)
        const directory = required(options.out, 'out')
        if (existsSync(directory))
          throw new KeyferryError('ERR_EXISTS', `${directory} is there already`)
        const opening = await opened(invocation)
        const trust = await newestTrust(store)
        const { root } = await openRoots(store, trust.tenant, opening)
        const authority = await readAuthorityKeys(opening.directory, opening.passphrase)
        const exporting = { store, root, authority, trust }
        const { keyId, record, wrapped } = await exportVersion(exporting, which, requests, now())
        mkdirSync(directory, { mode: 0o700 })
        const stem = `${which.name.replaceAll(/[^\w.-]/g, '_')}-${which.version}`
        writeFileWhole(join(directory, `${stem}.record.json`), encodeEnvelope(record))
        const files = wrapped.map(({ bytes, ending, target, method, fingerprint }, i) => {
          const isTwice = wrapped.filter((one) => one.ending === ending).length > 1
          const file = join(directory, `${stem}${isTwice ? `-${i + 1}` : ''}.${ending}`)
          writeFileWhole(file, bytes)
          return { file, target, method, wrappingKey: fingerprint }
        })
        if (options.json === true) out(JSON.stringify({ keyId: hex(keyId), files }))
        else {
          out(`key id ${hex(keyId)}`)
          for (const { file, target, method } of files) out(`${file}  for ${target}, ${method}`)
          out(`record ${join(directory, `${stem}.record.json`)}`)
        }
        return 0
      }),
  }),
  import: command({
    summary: 'bring a key in that was made elsewhere',
    operands: 1,
    options: {
      file: TEXT,
      fingerprint: TEXT,
      by: TEXT,
      rule: TEXTS,
      offline: TEXT,
      cryptoperiod: TEXT,
      cancel: FLAG,
    },
    help: `usage: keyferry import KEYRING --file FILE --fingerprint SHA256 --by WHO [--rule URI]… [--offline SECONDS]
         [--cryptoperiod SECONDS] [--json]
       keyferry import KEYRING --cancel

Makes the bytes of FILE (16 to 512) a version of an imported keyring, which is made with the first import. Two people run the same command, each
with the bytes in hand and --by of their own; the second within 24 hours. Until then nothing of the bytes is kept.
--fingerprint  SHA-256 of the bytes in hex, as whoever made them says: openssl dgst -sha256 FILE
--cancel       takes a waiting import back
The bytes travel sealed under the version's own secret, and no manifest and no message helps to guess them. A later rotation carries them on.

example: keyferry import archive --file key.bin --fingerprint 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865 --by alice
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const name = operand(invocation, 'keyring')
        if (options.cancel === true) {
          cancelImport(store, name)
          out(options.json === true ? JSON.stringify({ name }) : `import into ${name} taken back`)
          return 0
        }
        const bytes = readFile(required(options.file, 'file'), MAX_IMPORT)
        const by = required(options.by, 'by')
        const fingerprint = required(options.fingerprint, 'fingerprint')
          .toLowerCase()
          .replaceAll(':', '')
        if (fingerprint !== hex(sha256(bytes)))
          throw new KeyferryError(
            'ERR_HASH',
            'the file has another fingerprint than the one given',
            {
              hint: 'ask whoever made the key for its SHA-256 again; openssl dgst -sha256 FILE prints that of this file',
            },
          )
        const opening = await opened(invocation)
        const trust = await newestTrust(store)
        const { root } = await openRoots(store, trust.tenant, opening)
        const offline = seconds(options.offline, 'offline')
        const cryptoperiod = seconds(options.cryptoperiod, 'cryptoperiod')
        const settings = {
          name,
          bytes,
          by,
          rules: options.rule ?? trust.body.clients.sans,
          ...(offline !== undefined && { offline }),
          ...(cryptoperiod !== undefined && { cryptoperiod }),
        }
        const done = await importKey(store, { root, tenant: trust.tenant }, settings, now())
        bytes.fill(0)
        if (done.state === 'waiting') {
          const { until } = done
          const text = `${by} confirms; a second person runs the same command with another --by until ${date(until)} UTC`
          out(options.json === true ? JSON.stringify({ state: 'waiting', until }) : text)
          return 0
        }
        const { version, keyId } = done
        out(
          options.json === true
            ? JSON.stringify({ state: 'imported', name, version, keyId: hex(keyId), by: done.by })
            : `${name} version ${version} imported, confirmed by ${done.by.join(' and ')}\nkey id ${hex(keyId)}`,
        )
        return 0
      }),
  }),
}
