/** The audit log: as a file, checked, and as a checkpoint for other tools. Questions to it stand in audit-ask.ts. */
import { createWriteStream, renameSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { hex } from '../../shared/bytes.ts'
import { decodeDelivery } from '../../shared/delivery.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { MAX_DELIVERY } from '../../shared/limits.ts'
import {
  evidenceOfHeads,
  evidenceOfLogs,
  unloggedOf,
  type Made,
  type Unlogged,
} from '../audit-evidence.ts'
import { auditStore, readAudit, writeAudit, type AuditSource } from '../audit-file.ts'
import { askRelays } from '../audit-relay.ts'
import { verifyAudit, type AuditReport, type Kept } from '../audit-verify.ts'
import { issueDeriver } from '../ca.ts'
import { signCheckpoint, verifierKey } from '../checkpoint.ts'
import { readCa } from '../key-files.ts'
import { shownLog } from '../log.ts'
import { signerFromFiles } from '../signer-files.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  FLAG,
  operand,
  passphraseIfSealed,
  readDer,
  readFile,
  TEXT,
  TEXTS,
  usage,
  withStore,
  writeFileWhole,
  type Command,
  type Invocation,
} from './command.ts'
import { startProgress } from './progress.ts'

interface KeyOptions {
  key?: string
  certificate?: string
}

/** Key and certificate as files; `null` where neither is given. */
async function givenSigner({ key, certificate }: KeyOptions): Promise<Signer | null> {
  if ((certificate === undefined) !== (key === undefined))
    usage('--certificate and --key go together')
  return certificate === undefined ? null : signerFromFiles(certificate, key!, readDer)()
}

/** The signer that is given, or one of the built-in CA. */
export async function ownSigner(invocation: Invocation<KeyOptions>, store: Store): Promise<Signer> {
  const given = await givenSigner(invocation.options)
  if (given !== null) return given
  const { directory, now } = invocation
  const issuer = await readCa(directory, 'ca-deriver', await passphraseIfSealed(invocation))
  const { body } = await newestTrust(store)
  const uri = `${body.derivers.sans[0]!.replace(/\*$/, '')}audit`
  return issueDeriver(store, issuer, uri, now())
}

/** What a check came to. */
interface Outcome {
  report: AuditReport
  kept: Kept[]
  failed: string[]
  made: Made | null
  /** Problems beyond those of the log itself. */
  more: string[]
}

function lines({ report, kept, failed, made, more }: Outcome): string[] {
  const { tenant, entries, shown, heads, trust, problems, lost, unverified, later } = report
  return [
    `log of tenant ${tenant}: ${entries} entries, ${shown} of them under the newest of ${heads} heads`,
    `trust document ${trust.number} ${hex(trust.hash)}`,
    ...kept.map((one) => `${one.by}: ${one.heads.length} heads`),
    ...failed.map((what) => `could not be asked: ${what}`),
    ...lost.map((what) => `lost before the incarnation was raised: ${what}`),
    ...unverified.map((what) => `not verified: ${what}`),
    ...later.map((what) => `later than the file: ${what}`),
    ...[...problems, ...more].map((what) => `wrong: ${what}`),
    ...(made === null ? [] : [`evidence: ${made.what}`]),
  ]
}

function json({ report, kept, failed, made, more }: Outcome): string {
  const { tenant, entries, shown, heads, trust, problems, lost, unverified, later } = report
  return JSON.stringify({
    tenant,
    trust: { number: trust.number, hash: hex(trust.hash) },
    entries,
    shown,
    heads,
    relays: kept.map((one) => ({ url: one.by, heads: one.heads.length })),
    failed,
    lost,
    unverified,
    later,
    problems: [...problems, ...more],
    evidence: made?.what ?? null,
  })
}

interface VerifyOptions extends KeyOptions {
  tenant?: string
  relay?: string[]
  offline?: boolean
  against?: string
  delivery?: string
  evidence?: string
  json?: boolean
}

/** Checks a log, and with what is given beside it. */
async function verify(
  invocation: Invocation<VerifyOptions>,
  source: AuditSource,
  tenant: string,
  asked: { kept: Kept[]; failed: string[] },
): Promise<number> {
  const { options, out, signal } = invocation
  const delivery =
    options.delivery === undefined ? null : decodeDelivery(readFile(options.delivery, MAX_DELIVERY))
  const shown = delivery === null ? [] : [{ by: 'the delivery', heads: [delivery.head] }]
  const progress = startProgress('entries', options.json)
  const isFile = invocation.operands.length > 0
  const going = { progress: progress.tell, signal, isFile }
  const kept = [...asked.kept, ...shown]
  const report = await verifyAudit(source, tenant, kept, going).finally(progress.stop)
  const more: string[] = []
  let made = await evidenceOfHeads(source, report)
  if (delivery !== null) {
    const known = report.witnesses.find(({ by }) => by === 'the delivery')
    const found: Unlogged[] =
      known === undefined ? [] : await unloggedOf(delivery, known.head, source, report)
    more.push(...found.map(({ what }) => what))
    made ??= found.find((one) => one.made !== null)?.made ?? null
  }
  if (options.against !== undefined) {
    const other = readAudit(options.against)
    const two = {
      source: other,
      report: await verifyAudit(other, tenant, [], { ...going, isFile: true }),
    }
    const found = await evidenceOfLogs({ source, report }, two)
    if (found !== null) more.push(`entry ${found.index} is another one in ${options.against}`)
    more.push(...two.report.problems.map((what) => `${options.against}: ${what}`))
    made ??= found?.made ?? null
  }
  const outcome: Outcome = { report, ...asked, made, more }
  if (made !== null && options.evidence !== undefined) writeFileWhole(options.evidence, made.file)
  const { problems, unverified, later } = report
  const isOpen = asked.failed.length + unverified.length + later.length > 0
  const status = problems.length + more.length > 0 ? 1 : isOpen ? 3 : 0
  const verdict = status === 0 ? ['all of it holds'] : []
  out(options.json === true ? json(outcome) : [...lines(outcome), ...verdict].join('\n'))
  return status
}

export const auditCommands: Record<string, Command> = {
  'audit export': command({
    summary: 'write the log to a file that stands for itself',
    options: { out: TEXT },
    help: `usage: keyferry audit export [--out FILE]

Writes the whole log with trust documents, revocation lists and signed heads: all that audit verify needs. Lines of JSON, without any secret; who
has which keyring stands in it. --out is written as a whole or not at all (default: standard output).

example: keyferry audit export --out acme.audit
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, signal } = invocation
        const source = await auditStore(store)
        const stream = Readable.from(writeAudit(source))
        if (options.out === undefined) {
          await pipeline(stream, process.stdout, { end: false, signal })
          return 0
        }
        const part = `${options.out}.${process.pid}.part`
        try {
          await pipeline(stream, createWriteStream(part, { flags: 'wx', mode: 0o600 }), { signal })
          renameSync(part, options.out)
        } catch (cause) {
          rmSync(part, { force: true })
          throw new KeyferryError('ERR_IO', `${options.out} cannot be written`, { cause })
        }
        const { entries, heads } = source.header
        invocation.out(
          options.json === true
            ? JSON.stringify({ entries, heads })
            : `${entries} entries, ${heads} heads`,
        )
        return 0
      }),
  }),
  'audit verify': command({
    summary: 'check a log from its first entry, and against what relays kept',
    operands: 1,
    options: {
      tenant: TEXT,
      relay: TEXTS,
      offline: FLAG,
      key: TEXT,
      certificate: TEXT,
      against: TEXT,
      delivery: TEXT,
      evidence: TEXT,
    },
    help: `usage: keyferry audit verify [FILE --tenant ID] [--relay URL]… [--key FILE --certificate FILE] [--offline]
         [--against FILE] [--delivery FILE] [--evidence FILE] [--json]

Checks that the entries are those that every signed head commits to, that the heads are signed, and that the entries fit each other. With FILE, an
export, nothing else is needed; without it, the deriver's own log is checked, against the relays of the trust document too.
--relay        compares with the heads that this relay kept; with FILE it needs --key and --certificate of the tenant, also a client's
--offline      asks no relay
--against      another export of the same tenant: both have to be one log
--delivery     the body of a delivery that a client was given: its releases have to stand in the log
--evidence     writes a file there that proves to anyone what is wrong, where that can be proven: see inspect

Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 3 a relay could not be asked, its heads not be
verified, or they are later than FILE.

example: keyferry audit verify acme.audit --tenant TENANT_ID
`,
    run: async (invocation) => {
      const { options, operands } = invocation
      const now = (): number => invocation.now()
      const ask = async (urls: readonly string[], tenant: string, signer: Signer) =>
        askRelays(urls.map((url) => ({ url, tenant, signer: () => signer, now })))
      const nobody = { kept: [], failed: [] }
      if (operands.length > 0) {
        const path = operand(invocation, 'file')
        const tenant = options.tenant ?? usage('--tenant is needed with a file')
        const signer = await givenSigner(options)
        const relays = options.relay ?? []
        if (relays.length > 0 && signer === null) usage('--relay needs --key and --certificate')
        const asked = signer === null ? nobody : await ask(relays, tenant, signer)
        return verify(invocation, readAudit(path), tenant, asked)
      }
      return withStore(invocation, async (store) => {
        const source = await auditStore(store)
        const tenant = options.tenant ?? source.header.tenant
        const relays = options.relay ?? (await newestTrust(store)).body.relays
        const asked =
          options.offline === true || relays.length === 0
            ? nobody
            : await ask(relays, tenant, await ownSigner(invocation, store))
        return verify(invocation, source, tenant, asked)
      })
    },
  }),
  'audit checkpoint': command({
    summary: 'print the log’s head as a C2SP checkpoint',
    options: { key: TEXT, certificate: TEXT },
    help: `usage: keyferry audit checkpoint [--key FILE --certificate FILE] [--json]

Prints size and root of the log under the newest head as a checkpoint (c2sp.org/tlog-checkpoint), a note signed with a deriver's key: the one given,
or a new one of the built-in CA. Ed25519 signs as signature type 0x01; P-256 as 0x02, ECDSA in DER, which fewer tools take. --json has the
verifier key and the certificates too: the note alone does not say that the key is one of this tenant.

example: keyferry audit checkpoint
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out } = invocation
        const log = shownLog(store)
        if (log === undefined) throw new KeyferryError('ERR_NOT_FOUND', 'no head was signed yet')
        const { tenant } = await newestTrust(store)
        const { key, certificates } = await ownSigner(invocation, store)
        const note = await signCheckpoint(tenant, log, key)
        const verifier = verifierKey(tenant, key)
        const der = certificates.map((one) => Buffer.from(one).toString('base64url'))
        out(
          options.json === true
            ? JSON.stringify({ note, verifierKey: verifier, certificates: der })
            : note.trimEnd(),
        )
        return 0
      }),
  }),
}
