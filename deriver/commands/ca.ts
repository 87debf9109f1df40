/** The built-in CAs: what they are, their lists, their replacement, and whether a certificate fits. */
import { existsSync, readFileSync } from 'node:fs'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { issueCrl } from '../../shared/issue.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { keyId } from '../../shared/signature.ts'
import { OID_EXTENDED_KEY_USAGE, OID_NAME_CONSTRAINTS, parseAnchor } from '../../shared/x509.ts'
import { issueRoleCrl } from '../ca.ts'
import { activateCa, certificatePath, exportEnrolment, renewCa, type CaRole } from '../ca-renew.ts'
import { oidName } from '../check-common.ts'
import { plain } from '../inspect.ts'
import { keyPath, readCa } from '../key-files.ts'
import { nameText, readExtension, readLenient, readUriConstraints } from '../lenient-certificate.ts'
import { requireCaughtUp } from '../restored.ts'
import { date } from '../show.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import { checkCommand } from './ca-check.ts'
import { issueCommand } from './clients.ts'
import {
  command,
  FLAG,
  operand,
  passphraseIfSealed,
  required,
  TEXT,
  usage,
  withStore,
  type Command,
} from './command.ts'

const DAY = 86_400
/** Seconds that a revocation list of the root lives. */
const ROOT_CRL_LIFETIME = 90 * DAY

interface Shown {
  role: string
  name: string
  validUntil: string
  uses: string[]
  hosts: string[]
  inTrust: boolean
  pem: string
}

function shownCa(role: string, der: Bytes, inTrust: boolean): Shown {
  const read = readLenient(der)
  const hosts = readExtension(read, OID_NAME_CONSTRAINTS, readUriConstraints)?.permitted ?? []
  const uses = readExtension(read, OID_EXTENDED_KEY_USAGE, (reader) =>
    reader.list((list) => list.oid()),
  )
  return {
    role,
    name: nameText(read.subject),
    validUntil: date(read.notAfter),
    uses: (uses ?? []).map(oidName),
    hosts,
    inTrust,
    pem: encodePem('CERTIFICATE', der),
  }
}

async function allCas(store: Store, directory: string): Promise<Shown[]> {
  const { clients, derivers } = (await newestTrust(store)).body
  const waiting = (name: Parameters<typeof certificatePath>[1], role: string): Shown[] => {
    const path = certificatePath(directory, name)
    return existsSync(path)
      ? decodePem(readFileSync(path, 'utf8'), 'CERTIFICATE').map((der) => shownCa(role, der, false))
      : []
  }
  return [
    ...waiting('ca-root', 'root'),
    ...clients.anchors.map((der) => shownCa('client', der, true)),
    ...derivers.anchors.map((der) => shownCa('deriver', der, true)),
    ...waiting('ca-client-next', 'client, next'),
    ...waiting('ca-deriver-next', 'deriver, next'),
  ]
}

function roleOf(word: string): CaRole {
  return word === 'client' || word === 'deriver' ? word : usage('ROLE is client or deriver')
}

/** Lists in force of the CAs that the trust document anchors for a role. */
async function presentCrls(store: Store, role: CaRole): Promise<Bytes[]> {
  const out: Bytes[] = []
  for (const anchor of (await newestTrust(store)).body[`${role}s`].anchors) {
    const row = store.get<{ der: Bytes }>(
      'SELECT der FROM crls WHERE issuer = ?',
      await keyId(parseAnchor(anchor).spki),
    )
    if (row !== undefined) out.push(new Uint8Array(row.der))
  }
  return out
}

export const caCommands: Record<string, Command> = {
  'ca show': command({
    summary: 'show root and issuing CAs: hosts, uses, end',
    options: { pem: FLAG },
    help: `usage: keyferry ca show [--pem] [--json]

Shows the root of the built-in CAs and the CAs that the trust document anchors: what each may name and issue for, and until when.
--pem prints the certificates instead, the root first. Needs no secret.

example: keyferry ca show
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out } = invocation
        const cas = await allCas(store, directory)
        if (options.json === true) out(JSON.stringify(cas))
        else if (options.pem === true) out(cas.map(({ pem }) => pem.trimEnd()).join('\n'))
        else {
          for (const { role, name, validUntil, uses, hosts } of cas) {
            const named = hosts.length === 0 ? 'any host' : hosts.join(', ')
            const used = uses.length === 0 ? '' : `, for ${uses.join(', ')}`
            out(plain(`${role}  "${name}" until ${validUntil}, names ${named}${used}`))
          }
        }
        return 0
      }),
  }),
  'ca issue': issueCommand('ca issue'),
  'ca check': checkCommand,
  'ca crl': command({
    summary: 'print the revocation list of a CA',
    operands: 1,
    options: { new: FLAG },
    help: `usage: keyferry ca crl client|deriver|root [--new]

Prints the revocation list in force of the CAs of a role (PEM), and of the root a new one over nothing, for other tools: Keyferry asks for none.
--new issues the next one of a built-in CA first; the service does so by itself, daily and after each revocation.

example: keyferry ca crl client > client.crl
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out, now } = invocation
        const word = operand(invocation, 'ROLE')
        let crls: Bytes[]
        if (word === 'root') {
          const issuer = await readCa(directory, 'ca-root', await passphraseIfSealed(invocation))
          const number = store.transaction(() => store.next('crl-root'))
          const times = { thisUpdate: now() - 300, nextUpdate: now() + ROOT_CRL_LIFETIME }
          crls = [await issueCrl({ issuer, number, ...times, revoked: [] })]
        } else {
          const role = roleOf(word)
          if (options.new === true) {
            // PROTOCOL [restore-2]
            requireCaughtUp(store)
            const passphrase = await passphraseIfSealed(invocation)
            const issuer = await readCa(directory, `ca-${role}`, passphrase)
            await issueRoleCrl(store, issuer, role, now())
          }
          crls = await presentCrls(store, role)
        }
        if (crls.length === 0)
          throw new KeyferryError('ERR_NOT_FOUND', 'no revocation list of this role is in force')
        const pem = crls.map((der) => encodePem('X509 CRL', der).trimEnd())
        out(options.json === true ? JSON.stringify({ crls: pem }) : pem.join('\n'))
        return 0
      }),
  }),
  'ca renew': command({
    summary: 'replace an issuing CA by a new one of the root',
    operands: 1,
    options: { activate: FLAG },
    help: `usage: keyferry ca renew client|deriver [--activate] [--json]

Makes the next issuing CA of a role, signed by the root, beside the present one, and says what comes next: a trust document that anchors
both. --activate, once that is in force, lets it take over; the old one keeps signing revocation lists. Then start the service again.

example: keyferry ca renew client
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out, now } = invocation
        const role = roleOf(operand(invocation, 'ROLE'))
        const passphrase = await passphraseIfSealed(invocation)
        if (options.activate === true) {
          await activateCa(store, directory, role, passphrase)
          const old = keyPath(directory, `ca-${role}-old`)
          out(
            options.json === true
              ? JSON.stringify({ role, active: true, old })
              : `the next ${role} CA issues from now on; start keyferry run and enrolment services again\nkeep ${old} until the last certificate of the old CA is over: it signs their revocation list`,
          )
          return 0
        }
        const certificate = await renewCa(directory, role, passphrase, now())
        out(
          options.json === true
            ? JSON.stringify({ role, active: false, certificate })
            : [
                `made the next ${role} CA: ${certificate}`,
                `next: keyferry trust propose --add-anchor-${role}s ${certificate}, sign and publish it,`,
                `then: keyferry ca renew ${role} --activate`,
              ].join('\n'),
        )
        return 0
      }),
  }),
  'ca denied': command({
    summary: 'list denied keys, for an enrolment service elsewhere',
    options: {},
    help: `usage: keyferry ca denied [--json]

Prints the key ids (SHA-256 of the public key, hex) that are denied for good, one a line: the deny list of an enrolment service that runs on
another host than the deriver.

example: keyferry ca denied > denied
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const rows = store.all<{ key_id: Bytes }>(
          'SELECT key_id FROM denied ORDER BY since, key_id',
        )
        const ids = rows.map(({ key_id }) => hex(key_id))
        if (invocation.options.json === true) invocation.out(JSON.stringify(ids))
        else if (ids.length > 0) invocation.out(ids.join('\n'))
        return Promise.resolve(0)
      }),
  }),
  'ca export-enrolment': command({
    summary: 'make a directory for an enrolment service elsewhere',
    options: { out: TEXT },
    help: `usage: keyferry ca export-enrolment --out DIR

Makes DIR with what an enrolment service on another host needs: the client-issuing CA, sealed as it is, and what was issued and denied so far.
On the same host it uses the deriver's directory itself: it opens no other file. Copy \`keyferry ca denied\` over after each revocation.

example: keyferry ca export-enrolment --out enrolment
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const out = required(invocation.options.out, 'out')
        exportEnrolment(store, invocation.directory, out)
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ directory: out })
            : `${out} holds keys/ca-client.json and ca.db`,
        )
        return Promise.resolve(0)
      }),
  }),
}
