/** Catalogs for an authority whose keys are elsewhere. */
import {
  bodyOf,
  decodeProposal,
  encodeProposal,
  fingerprintOf,
  MAX_PROPOSAL,
  proposalChanges,
  proposeCatalog,
  publishProposal,
  signProposal,
} from '../catalog-change.ts'
import { keyPath } from '../key-files.ts'
import { type Root } from '../root.ts'
import { openRoots } from '../roots.ts'
import { date } from '../show.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  duration,
  number,
  operand,
  passphraseIfSealed,
  readFile,
  required,
  TEXT,
  withStore,
  writeFileWhole,
  type Command,
  type Invocation,
} from './command.ts'
import { changeLines, readAuthority, readCurrent } from './trust.ts'

async function readRoot(store: Store, tenant: string, invocation: Invocation): Promise<Root> {
  const passphrase = await passphraseIfSealed(invocation)
  const { root } = await openRoots(store, tenant, { directory: invocation.directory, passphrase })
  return root
}

export const catalogCommands: Record<string, Command> = {
  'catalog propose': command({
    summary: 'make the next catalog, for an authority elsewhere',
    options: { ahead: TEXT, expires: TEXT, out: TEXT },
    help: `usage: keyferry catalog propose --out FILE [--ahead N] [--expires TIME] [--json]

Writes the next catalog with every manifest, unsigned: each keyring has N unused versions in it (16), and it is good for 400 days unless
--expires says otherwise. Numbers, nonces and the salts of erasable keyrings are made here; no secret is in the file. Prints a fingerprint: carry
it to the signers by another way than the file.

example: keyferry catalog propose --ahead 24 --out catalog.json
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const path = required(options.out, 'out')
        const ahead = number(options.ahead, 'ahead', 'versions', 1_000) ?? 16
        const lifetime = duration(options.expires, 'expires') ?? 400 * 86_400
        const { tenant } = await newestTrust(store)
        const root = await readRoot(store, tenant, invocation)
        const proposal = await proposeCatalog(store, root, tenant, { ahead, lifetime }, now())
        writeFileWhole(path, encodeProposal(proposal))
        const changes = proposalChanges(proposal)
        const fingerprint = fingerprintOf(proposal)
        out(
          options.json === true
            ? JSON.stringify({ fingerprint, changes })
            : [...changeLines(changes), `fingerprint ${fingerprint}`].join('\n'),
        )
        return 0
      }),
  }),
  'catalog sign': command({
    summary: 'add an authority signature to a proposed catalog',
    operands: 1,
    options: { key: TEXT, current: TEXT, confirm: TEXT },
    help: `usage: keyferry catalog sign FILE --confirm FINGERPRINT [--key FILE] [--current FILE] [--json]

Shows what the catalog changes, and adds one signature to FILE if its fingerprint is the one that was carried from the deriver. Whoever signs
says that these are the keys of the tenant: a fingerprint that came with the file is worth nothing.
--key      key file or PKCS#8 PEM, in place of DIR/keys/authority.json
--current  the trust document in force as a file (trust show --out), where there is no database

example: keyferry catalog sign catalog.json --confirm Kx3… --key authority.json --current trust.json
`,
    run: async (invocation) => {
      const { options, out, directory } = invocation
      const path = operand(invocation, 'file')
      const proposal = decodeProposal(readFile(path, MAX_PROPOSAL))
      const trust =
        options.current === undefined
          ? await withStore(invocation, newestTrust)
          : await readCurrent(options.current)
      const changes = proposalChanges(proposal)
      const confirmed = required(options.confirm, 'confirm')
      const key = await readAuthority(options.key ?? keyPath(directory, 'authority'), invocation)
      const signed = await signProposal(proposal, confirmed, key, trust)
      writeFileWhole(path, encodeProposal(signed))
      const missing = Math.max(0, trust.body.authority.threshold - signed.catalog.signatures.length)
      const { number: catalog, expiresAt } = bodyOf(signed)
      out(
        options.json === true
          ? JSON.stringify({ catalog, expiresAt, changes, missing })
          : [
              ...changeLines(changes),
              `signed catalog ${catalog} until ${date(expiresAt)}, missing: ${missing}`,
            ].join('\n'),
      )
      return 0
    },
  }),
  'catalog publish': command({
    summary: 'take a signed catalog into force',
    operands: 1,
    options: {},
    help: `usage: keyferry catalog publish FILE [--json]

Takes a signed catalog into force, if keyrings are as they were when it was proposed. The running service pushes it with its next head.

example: keyferry catalog publish catalog.json
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const proposal = decodeProposal(readFile(operand(invocation, 'file'), MAX_PROPOSAL))
        const trust = await newestTrust(store)
        const root = await readRoot(store, trust.tenant, invocation)
        const { number: catalog, expiresAt } = await publishProposal(
          store,
          root,
          proposal,
          trust,
          now(),
        )
        out(
          options.json === true
            ? JSON.stringify({ catalog, expiresAt })
            : `catalog ${catalog} until ${date(expiresAt)}`,
        )
        return 0
      }),
  }),
}
