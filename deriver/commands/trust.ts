/** The trust document: shown, and followed by the next one. */
import { verifyByAuthorities } from '../../shared/authority.ts'
import { base64url, equal, hex } from '../../shared/bytes.ts'
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey, keyId, type AnySigningKey } from '../../shared/signature.ts'
import { decodeTrust, type TrustDocument } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { describe, inspect } from '../inspect.ts'
import { exportKey, importPrivateKey, keyPath, openSigningKey } from '../key-files.ts'
import { requireCaughtUp } from '../restored.ts'
import { isSealed, writeKeyFile } from '../secret.ts'
import {
  decodeDraft,
  MAX_DRAFT,
  missingSignatures,
  publishTrust,
  signDraft,
  trustChanges,
  type TrustChange,
} from '../trust-change.ts'
import { loadTrust, newestTrust } from '../trust.ts'
import {
  command,
  FLAG,
  operand,
  readDer,
  readFile,
  required,
  TEXT,
  withStore,
  writeFileWhole,
  type Command,
  type Invocation,
} from './command.ts'

export const changeLines = (changes: readonly Pick<TrustChange, 'what' | 'widens'>[]): string[] =>
  changes.map(({ what, widens }) => `${what}${widens ? '   WIDENS TRUST' : ''}`)

/** A trust document out of a file that the signer vouches for. */
export async function readCurrent(path: string): Promise<TrustDocument> {
  const envelope = decodeEnvelope(readFile(path, MAX_DRAFT))
  const body = decodeTrust(envelope)
  // A signature of the authority before it, whose keys were replaced, can be checked with the document before only.
  const ids = await Promise.all(body.authority.keys.map(keyId))
  const own = envelope.signatures.filter(({ keyid }) => ids.some((id) => equal(id, keyid)))
  await verifyByAuthorities({ ...envelope, signatures: own }, [body.authority])
  const tenant = body.number === 1 ? tenantId(envelope) : body.tenant
  return { body, envelope, hash: documentHash(envelope), tenant }
}

/** An authority key out of a key file or PKCS#8 (PEM). */
export async function readAuthority(path: string, invocation: Invocation): Promise<AnySigningKey> {
  const isKeyFile = readFile(path)[0] === 0x7b
  if (!isKeyFile) return importPrivateKey(readDer(path, 'PRIVATE KEY')[0]!)
  const passphrase = isSealed(path) ? await invocation.passphrase() : null
  return openSigningKey(invocation.directory, path, 'authority', passphrase)
}

export const trustCommands: Record<string, Command> = {
  'trust show': command({
    summary: 'show the trust document in force',
    options: { all: FLAG, out: TEXT },
    help: `usage: keyferry trust show [--all] [--out FILE] [--json]

Shows the trust document in force: number, hash, authority, anchors and rules per role. Number and hash are the floor that an app may pin.
--all  the hashes of all of them     --out  writes it as a file, for trust sign --current on another machine

example: keyferry trust show
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out } = invocation
        const all = await loadTrust(store)
        const trust = all.at(-1)!
        if (options.out !== undefined) writeFileWhole(options.out, encodeEnvelope(trust.envelope))
        if (options.all === true) {
          const rows = all.map(({ body, hash }) => ({ number: body.number, hash: base64url(hash) }))
          if (options.json === true) out(JSON.stringify(rows))
          else for (const { number, hash } of rows) out(`${number}  ${hash}`)
          return 0
        }
        const shown = inspect(encodeEnvelope(trust.envelope))
        out(options.json === true ? JSON.stringify(shown.claims) : describe(shown))
        return 0
      }),
  }),
  'trust key': command({
    summary: 'make an authority key, and print its public key',
    options: { out: TEXT, unsealed: FLAG },
    help: `usage: keyferry trust key --out FILE [--unsealed] [--json]

Makes an Ed25519 key file, sealed by a passphrase, and prints its public key (PEM) for trust propose --add-authority.

example: keyferry trust key --out authority-2.json > authority-2.pem
`,
    run: async (invocation) => {
      const { options, out } = invocation
      const path = required(options.out, 'out')
      const key = await generateSigningKey('Ed25519', true)
      const passphrase = options.unsealed === true ? null : await invocation.passphrase(true)
      writeKeyFile(path, await exportKey(key), 'authority', passphrase)
      const pem = encodePem('PUBLIC KEY', key.spki)
      const id = hex(await keyId(key.spki))
      out(options.json === true ? JSON.stringify({ keyId: id, pem }) : pem.trimEnd())
      return 0
    },
  }),
  'trust sign': command({
    summary: 'add an authority signature to a proposed trust document',
    operands: 1,
    options: { key: TEXT, current: TEXT },
    help: `usage: keyferry trust sign FILE [--key FILE] [--current FILE] [--json]

Checks that FILE follows the trust document in force, shows what it changes, and adds one signature to FILE.
--key      key file or PKCS#8 PEM, in place of DIR/keys/authority.json
--current  the document in force as a file (trust show --out), where there is no database

example: keyferry trust sign next.json --key authority-2.json
`,
    run: async (invocation) => {
      const { options, out, directory } = invocation
      const path = operand(invocation, 'file')
      const draft = decodeDraft(readFile(path, MAX_DRAFT))
      const current =
        options.current === undefined
          ? await withStore(invocation, (store) => {
              // PROTOCOL [restore-2]
              requireCaughtUp(store)
              return newestTrust(store)
            })
          : await readCurrent(options.current)
      const key = await readAuthority(options.key ?? keyPath(directory, 'authority'), invocation)
      const signed = await signDraft(draft, key, current)
      const changes = await trustChanges(current.body, decodeTrust(signed))
      const missing = await missingSignatures(signed, current)
      writeFileWhole(path, encodeEnvelope(signed))
      const hash = base64url(documentHash(signed))
      if (options.json === true) out(JSON.stringify({ hash, changes, missing }))
      else {
        out([`signed ${hash}`, ...changeLines(changes)].join('\n'))
        out(`missing: ${missing.present} of the present authority, ${missing.next} of the next one`)
      }
      return 0
    },
  }),
  'trust publish': command({
    summary: 'take the next trust document into force',
    operands: 1,
    options: {},
    help: `usage: keyferry trust publish FILE [--json]

Takes a signed trust document into force if it follows the present one. A running service pushes it with its next head.
Prints number and hash: the floor that an app may pin.

example: keyferry trust publish next.json
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        // PROTOCOL [restore-2]
        requireCaughtUp(store)
        const draft = decodeDraft(readFile(operand(invocation, 'file'), MAX_DRAFT))
        const { body, hash } = await publishTrust(store, draft, now())
        const floor = { number: body.number, hash: base64url(hash) }
        out(
          options.json === true
            ? JSON.stringify(floor)
            : `trust document ${floor.number} ${floor.hash}`,
        )
        return 0
      }),
  }),
}
