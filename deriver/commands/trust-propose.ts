/** `trust propose` and the end of deriver certificates. */
import { equal, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { keyId } from '../../shared/signature.ts'
import { SAN_RULE, SUITES, type TrustBody } from '../../shared/trust.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueRoleCrl } from '../ca.ts'
import { currentCrls } from '../publish.ts'
import { deriverCertificates, revokeDerivers } from '../deriver-certificates.ts'
import { keyPath, readCa } from '../key-files.ts'
import { makeDraft, trustChanges } from '../trust-change.ts'
import { requireCaughtUp } from '../restored.ts'
import { originOf } from '../tenant.ts'
import { loadTrust } from '../trust.ts'
import { existsSync } from 'node:fs'
import {
  command,
  FLAG,
  headLifetime,
  number,
  passphraseIfSealed,
  readDer,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'
import { changeLines } from './trust.ts'

const DAY = 86_400

/** A list with values added and others, by hex id or as they are, removed. Throws `ERR_USAGE` for one that is not there. */
function edit<T extends Bytes | string>(
  before: readonly T[],
  add: readonly T[],
  remove: readonly string[] = [],
  id: (value: T) => string = (value) => value as string,
): T[] {
  for (const one of remove)
    if (!before.some((value) => id(value) === one)) usage(`${one} is not there to be removed`)
  const kept = before.filter((value) => !remove.includes(id(value)))
  const fresh = add.filter((value) => !kept.some((one) => id(one) === id(value)))
  return [...kept, ...fresh]
}

const origins = (list: readonly string[] = []): string[] =>
  list.map((one) => originOf(one, 'a web origin'))
const relays = (list: readonly string[] = []): string[] =>
  list.map((one) => originOf(one, 'the address of a relay'))

/** What is to go, as it stands there: an older document may have another spelling. */
const present = (
  before: readonly string[],
  spell: (list: readonly string[]) => string[],
  list: readonly string[] = [],
): string[] => list.flatMap((one) => (before.includes(one) ? [one] : spell([one])))

/** Rules for URIs. Throws `ERR_USAGE` for what is none. */
function rules(given: readonly string[] = []): readonly string[] {
  for (const one of given)
    if (!SAN_RULE.test(one))
      usage(`not a rule: ${one} (for example keyferry://client.acme.example/*)`)
  return given
}

const hashId = (value: Bytes): string => hex(sha256(value))

export const trustProposeCommands: Record<string, Command> = {
  'trust propose': command({
    summary: 'make the next trust document, unsigned',
    options: {
      'add-authority': TEXTS,
      'remove-authority': TEXTS,
      threshold: TEXT,
      'add-anchor-clients': TEXTS,
      'add-anchor-derivers': TEXTS,
      'remove-anchor-clients': TEXTS,
      'remove-anchor-derivers': TEXTS,
      'add-san-clients': TEXTS,
      'add-san-derivers': TEXTS,
      'remove-san-clients': TEXTS,
      'remove-san-derivers': TEXTS,
      'add-relay': TEXTS,
      'remove-relay': TEXTS,
      'add-origin': TEXTS,
      'remove-origin': TEXTS,
      'head-lifetime': TEXT,
      skew: TEXT,
      suites: TEXT,
      expires: TEXT,
      'raise-incarnation': FLAG,
      'lowest-crl': TEXTS,
    },
    help: `usage: keyferry trust propose [--add-authority PEM]… [--remove-authority KEYID]… [--threshold N]
         [--add-anchor-clients PEM]… [--remove-anchor-clients FINGERPRINT]… [--add-san-clients RULE]… [--remove-san-clients RULE]…
         [the same with -derivers] [--add-relay URL]… [--remove-relay URL]… [--add-origin URL]… [--remove-origin URL]…
         [--head-lifetime SECONDS] [--skew SECONDS] [--suites LIST] [--expires DAYS] [--raise-incarnation] [--lowest-crl ISSUER=NUMBER]…

Prints the successor of the trust document in force with these changes, unsigned, and on stderr what it changes. It renews the dates: 365
days unless --expires says otherwise. KEYID, FINGERPRINT and ISSUER are SHA-256 in hex. --raise-incarnation asks for the CRL numbers in
force; revoke a stolen certificate first.

example: keyferry trust propose --add-authority authority-2.pem --threshold 2 > next.json
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options: o, out, now } = invocation
        // PROTOCOL [restore-2]
        requireCaughtUp(store)
        const all = await loadTrust(store)
        const current = all.at(-1)!
        const old = current.body
        const ders = (paths: readonly string[] | undefined, label: string): Bytes[] =>
          (paths ?? []).flatMap((path) => readDer(path, label))
        const role = (name: 'clients' | 'derivers'): TrustBody['clients'] => ({
          ...old[name],
          anchors: edit(
            old[name].anchors,
            ders(o[`add-anchor-${name}`], 'CERTIFICATE'),
            o[`remove-anchor-${name}`],
            hashId,
          ),
          sans: edit(old[name].sans, rules(o[`add-san-${name}`]), o[`remove-san-${name}`]),
        })
        const keys = edit(
          old.authority.keys,
          ders(o['add-authority'], 'PUBLIC KEY'),
          o['remove-authority'],
          hashId,
        )
        // PROTOCOL [catalog-3]: a key that comes back would bring its old catalogs back
        for (const key of keys)
          if (
            !old.authority.keys.some((one) => equal(one, key)) &&
            all.some(({ body }) => body.authority.keys.some((one) => equal(one, key)))
          )
            usage(
              `authority key ${hex(await keyId(key)).slice(0, 16)} was removed before and must not come back`,
            )
        const suites = o.suites?.split(',') ?? old.suites
        if (!suites.every((one) => (SUITES as readonly string[]).includes(one)))
          usage(`--suites is a list of ${SUITES.join(', ')}`)
        const lowest = new Map(old.lowestCrls.map(({ issuer, number: n }) => [hex(issuer), n]))
        if (o['raise-incarnation'] === true)
          for (const crl of currentCrls(store))
            lowest.set(hex(crl.issuer), Math.max(crl.number, lowest.get(hex(crl.issuer)) ?? 0))
        for (const text of o['lowest-crl'] ?? []) {
          const [, issuer, value] =
            /^([0-9a-f]{64})=(\d{1,15})$/.exec(text) ?? usage('--lowest-crl is ISSUER=NUMBER')
          lowest.set(issuer!, Number(value))
        }
        const days = number(o.expires, 'expires', 'days', 400, 1) ?? 365
        const body: TrustBody = {
          ...old,
          authority: {
            keys,
            threshold: number(o.threshold, 'threshold', 'keys', 16, 1) ?? old.authority.threshold,
          },
          clients: role('clients'),
          derivers: role('derivers'),
          expiresAt: now() + days * DAY,
          headLifetime: headLifetime(o['head-lifetime']) ?? old.headLifetime,
          incarnation: old.incarnation + (o['raise-incarnation'] === true ? 1 : 0),
          issuedAt: now(),
          lowestCrls: [...lowest].map(([issuer, n]) => ({ issuer: fromHex(issuer), number: n })),
          number: old.number + 1,
          origins: edit(
            old.origins,
            origins(o['add-origin']),
            present(old.origins, origins, o['remove-origin']),
          ),
          previous: current.hash,
          relays: edit(
            old.relays,
            relays(o['add-relay']),
            present(old.relays, relays, o['remove-relay']),
          ),
          skew: number(o.skew, 'skew', 'seconds', 300) ?? old.skew,
          suites: suites as TrustBody['suites'],
          tenant: current.tenant,
        }
        const draft = makeDraft(body, current)
        const changes = await trustChanges(old, body)
        process.stderr.write(
          o.json === true
            ? `${JSON.stringify({ changes })}\n`
            : `${changeLines(changes).join('\n')}\n`,
        )
        out(new TextDecoder().decode(encodeEnvelope(draft)))
        return 0
      }),
  }),
  'deriver revoke': command({
    summary: 'revoke certificates of derivers, after a theft of their key',
    operands: 1,
    options: { all: FLAG },
    help: `usage: keyferry deriver revoke SERIAL | --all [--json]

Puts deriver certificates of the built-in CA on a new CRL. A running service takes a new key. The thief's heads stop where the new list
is seen; to stop them everywhere, raise the incarnation next (trust propose --raise-incarnation). Of your own CA: crl import.

example: keyferry deriver revoke --all
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, operands, directory, out, now } = invocation
        // PROTOCOL [restore-2]
        requireCaughtUp(store)
        if ((options.all === true) === (operands.length === 1)) usage('a serial or --all is needed')
        if (!existsSync(keyPath(directory, 'ca-deriver')))
          usage('there is no built-in CA for derivers here: use crl import')
        const issuer = await readCa(directory, 'ca-deriver', await passphraseIfSealed(invocation))
        const revoked = revokeDerivers(store, options.all === true ? null : operands[0]!, now())
        await issueRoleCrl(store, issuer, 'deriver', now())
        const left = deriverCertificates(store, now()).filter((one) => one.revoked === null).length
        out(
          options.json === true
            ? JSON.stringify({ revoked, left })
            : `revoked ${revoked} deriver certificates`,
        )
        return 0
      }),
  }),
}
