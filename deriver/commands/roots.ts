/** Roots: where master secrets are, and moving from one to another. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { KeyferryError } from '../../shared/errors.ts'
import { isReserved, keyFilePath } from '../key-files.ts'
import { makeMaster } from '../pkcs11-keys.ts'
import { parsePlace, type Place } from '../place.ts'
import {
  addRoot,
  listRoots,
  markOf,
  openPlace,
  openRoot,
  presentRoot,
  removeRoot,
  requireNewRoot,
  useOf,
  useRoot,
} from '../roots.ts'
import { writeKeyFile } from '../secret.ts'
import { rootLines } from '../show.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  FLAG,
  operand,
  passphraseIfSealed,
  usage,
  withStore,
  type Command,
  type Invocation,
} from './command.ts'

/** Makes the key that a place names and returns what takes it back. Throws `ERR_USAGE` for places where none can be made from here. */
async function makeKey(
  parsed: Place,
  { directory }: Invocation,
  passphrase: string | null,
): Promise<() => void> {
  if (parsed.kind === 'file') {
    const bytes = new Uint8Array(randomBytes(32))
    const path = keyFilePath(directory, parsed.name)
    writeKeyFile(path, bytes, 'master', passphrase)
    return () => rmSync(path)
  }
  if (parsed.kind === 'pkcs11') await makeMaster(parsed, directory)
  else
    throw new KeyferryError('ERR_USAGE', `no key is made at ${parsed.kind} from here`, {
      hint: 'make it there, then add it without --generate',
    })
  // Nothing deletes a key in an HSM.
  return () => {}
}

export const rootCommands: Record<string, Command> = {
  'root list': command({
    summary: 'list the roots, and what comes from each',
    options: {},
    help: `usage: keyferry root list [--json]

Lists the master secrets: name, place, and how many versions, generations and devices come from each. No key is opened.

example: keyferry root list
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { options, out, now } = invocation
        const roots = listRoots(store).map(({ number, name, place }) => ({
          name,
          place,
          isPresent: number === presentRoot(store),
          ...useOf(store, number, now()),
        }))
        out(options.json === true ? JSON.stringify(roots) : rootLines({ roots }).join('\n'))
        return Promise.resolve(0)
      }),
  }),
  'root check': command({
    summary: 'ask each root, and know it again',
    operands: 1,
    options: {},
    help: `usage: keyferry root check [NAME] [--json]

Opens the roots, or the one named, and compares what each computes with the mark that was kept. Exit status 1 for another key, 3 if one
does not answer.

example: keyferry root check
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { operands, options, out, directory } = invocation
        const rows = listRoots(store).filter(
          ({ name }) => operands.length === 0 || operands[0] === name,
        )
        if (rows.length === 0) usage(`no root ${operands[0]}`)
        const passphrase = await passphraseIfSealed(invocation)
        const { tenant } = await newestTrust(store)
        for (const row of rows)
          (await openRoot(store, row, tenant, { directory, passphrase })).close?.()
        const names = rows.map(({ name }) => name)
        out(
          options.json === true
            ? JSON.stringify({ good: names })
            : names.map((name) => `${name}  good`).join('\n'),
        )
        return 0
      }),
  }),
  'root add': command({
    summary: 'add a root, beside the ones that are there',
    operands: 2,
    options: { generate: FLAG },
    help: `usage: keyferry root add NAME PLACE [--generate] [--json]

Opens the master secret at PLACE and remembers its mark. Nothing is derived from it before 'keyferry root use NAME'; a running service opens
it, too. --generate makes the key first, in a file or an HSM. A place is one of

  file:NAME          keys/NAME.json in DIR, sealed by the passphrase of the other key files; not authority-2, ca-client and so on
  env:VARIABLE       32 bytes in hex or base64
  credential:NAME    the same, from systemd's LoadCredential=NAME:/PATH ($CREDENTIALS_DIRECTORY)
  pkcs11:token=TOKEN;object=LABEL?module-path=/PATH.so&pin-source=file:/PATH     or pin-source=credential:NAME
  aws-kms:KEY?region=REGION[&endpoint=URL]                                       AWS_ACCESS_KEY_ID and so on
  gcp-kms:projects/…/cryptoKeyVersions/N[?token-file=/PATH][&endpoint=URL]       or GOOGLE_ACCESS_TOKEN
  vault:KEY?address=URL[&mount=transit][&key-version=1][&namespace=NAME][&token-file=/PATH]    or VAULT_TOKEN

example: keyferry root add hsm 'pkcs11:token=acme;object=master?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/keyferry/pin' --generate
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { operands, options, out, directory, now } = invocation
        const [name, place] = operands
        if (name === undefined || place === undefined || operands.length !== 2)
          usage('a name and a place are needed')
        if (!/^[a-z0-9-]{1,32}$/.test(name)) usage('a name has 1 to 32 of a-z, 0-9 and -')
        const parsed = parsePlace(place)
        if (parsed.kind === 'file' && isReserved(parsed.name))
          usage(`keys/${parsed.name}.json is the file of another key than a root's`)
        requireNewRoot(store, name)
        const passphrase = await passphraseIfSealed(invocation)
        const { tenant } = await newestTrust(store)
        const isNew = options.generate === true
        const takeBack = isNew ? await makeKey(parsed, invocation, passphrase) : () => {}
        let number: number
        try {
          const mark = await markOf(await openPlace(place, { directory, passphrase }), tenant)
          number = addRoot(store, { name, place, mark }, now())
        } catch (error) {
          takeBack()
          throw error
        }
        out(
          options.json === true
            ? JSON.stringify({ number, name, place })
            : `root ${name} added\nnext: keyferry root use ${name}`,
        )
        return 0
      }),
  }),
  'root use': command({
    summary: 'derive everything new from a root',
    operands: 1,
    options: {},
    help: `usage: keyferry root use NAME [--json]

From now on everything new comes from this root: each keyring gets a new version at once and a new generation with the next step of
'keyferry run'; channel keys follow with the key packages of the devices, within 30 days. What came from the old root goes on coming from
it, so it is kept until 'keyferry root remove'.

example: keyferry root use hsm
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, directory, now } = invocation
        const name = operand(invocation, 'root')
        const row = listRoots(store).find((one) => one.name === name)
        // Whoever moves to a root that does not answer has stopped the service.
        if (row !== undefined) {
          const passphrase = await passphraseIfSealed(invocation)
          const { tenant } = await newestTrust(store)
          await openRoot(store, row, tenant, { directory, passphrase })
        }
        useRoot(store, name, now())
        out(
          options.json === true
            ? JSON.stringify({ name })
            : `everything new comes from root ${name}`,
        )
        return 0
      }),
  }),
  'root remove': command({
    summary: 'forget a root that nothing comes from',
    operands: 1,
    options: {},
    help: `usage: keyferry root remove NAME [--json]

Forgets a root from which no version, generation or device comes any more; the key itself stays where it is.

example: keyferry root remove main
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const name = operand(invocation, 'root')
        removeRoot(store, name, invocation.now())
        invocation.out(
          invocation.options.json === true ? JSON.stringify({ name }) : `root ${name} removed`,
        )
        return Promise.resolve(0)
      }),
  }),
}
