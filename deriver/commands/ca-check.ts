/** Whether a certificate fits, in plain words. */
import { statSync } from 'node:fs'
import { type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { matchesSanRule } from '../../shared/path.ts'
import { type TrustBody } from '../../shared/trust.ts'
import { OID_CLIENT_AUTH } from '../ca.ts'
import { checkCertificate, fits, type CheckInput } from '../check-certificate.ts'
import { plain } from '../inspect.ts'
import { readExtension, readLenient, readUris } from '../lenient-certificate.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  operand,
  readDer,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'

/** A CRL of the largest size, in PEM. */
const MAX_FILE = 2_097_152

/** Certificates or lists of a file. Throws `ERR_IO`, also for a file that holds none: nothing can be said of it then. */
function read(path: string, label: string): Bytes[] {
  try {
    if (statSync(path).size > MAX_FILE) throw new KeyferryError('ERR_TOO_LARGE')
    return readDer(path, label)
  } catch (cause) {
    const what = `DER, or PEM blocks ${label} with nothing between them`
    throw new KeyferryError('ERR_IO', `${path} cannot be read as ${what}`, { cause })
  }
}

type Rules = Pick<CheckInput, 'anchors' | 'ekus' | 'sans' | 'crls'>

/** The role that a certificate means to have: that of the rule which its URI matches, else a client's. */
function roleOf(leaf: Bytes | undefined, { derivers }: TrustBody): 'client' | 'deriver' {
  let uri: string | undefined
  try {
    uri = leaf && readExtension(readLenient(leaf), '2.5.29.17', readUris)?.uris[0]
  } catch {
    // The check itself says what is wrong with it.
  }
  return derivers.sans.some((rule) => matchesSanRule(uri ?? '', rule)) ? 'deriver' : 'client'
}

export const checkCommand: Command = command({
  summary: 'say whether a certificate fits, and what to change',
  operands: 1,
  options: { chain: TEXTS, anchor: TEXTS, crl: TEXTS, role: TEXT },
  help: `usage: keyferry ca check CERT [--chain FILE]… [--anchor FILE]… [--crl FILE]… [--role client|deriver] [--json]

Says for each requirement on a certificate of your own CA whether it is met, why not, and what to change. CERT (PEM or DER) holds the end
entity first; --chain gives CAs between it and the anchor. It is checked against the tenant's trust document and revocation lists, or, with
--anchor, against those CAs for clientAuth. Needs no secret.
Exit status: 0 it fits, 1 it does not, 2 wrong usage, 3 a file cannot be read.

example: keyferry ca check alice.pem --chain issuing.pem --role client
`,
  run: async (invocation) => {
    const { options, out, now } = invocation
    const { role } = options
    if (role !== undefined && role !== 'client' && role !== 'deriver')
      usage('--role is client or deriver')
    const file = operand(invocation, 'certificate')
    const all = (paths: string[] | undefined, label: string): Bytes[] =>
      (paths ?? []).flatMap((path) => read(path, label))
    const certificates = [...read(file, 'CERTIFICATE'), ...all(options.chain, 'CERTIFICATE')]
    const given = all(options.crl, 'X509 CRL')
    const rules: Rules =
      options.anchor !== undefined
        ? {
            anchors: all(options.anchor, 'CERTIFICATE'),
            ekus: [OID_CLIENT_AUTH],
            sans: null,
            crls: options.crl === undefined ? null : given,
          }
        : await withStore(invocation, async (store) => {
            const { body } = await newestTrust(store)
            const stored = store.all<{ der: Bytes }>('SELECT der FROM crls')
            return {
              ...body[`${role ?? roleOf(certificates[0], body)}s`],
              crls: [...given, ...stored.map(({ der }) => new Uint8Array(der))],
            }
          })
    const requirements = await checkCertificate({ certificates, now: now(), ...rules })
    const isFit = fits(requirements)
    if (options.json === true) out(JSON.stringify({ fits: isFit, requirements }))
    else {
      for (const { requirement, ok, why, change } of requirements) {
        const verdict = ok === null ? 'not checked' : ok ? 'ok' : 'NOT OK'
        out(plain(`${verdict.padEnd(11)} ${requirement}: ${why}`))
        if (change !== '') out(plain(`${''.padEnd(11)} → ${change}`))
      }
      out(isFit ? 'it fits' : 'it does not fit')
    }
    return isFit ? 0 : 1
  },
})
