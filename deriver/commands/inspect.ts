/** Looking at any file. */
import { hex, type Bytes } from '../../shared/bytes.ts'
import { verifyEvidenceFile } from '../../shared/log-evidence.ts'
import { describe, inspect } from '../inspect.ts'
import { command, operand, readFile, type Command } from './command.ts'

/** Checks evidence with the tenant id alone. Throws the codes of `verifyEvidence`. */
async function check(file: Bytes, tenant: string, isJson: boolean): Promise<string> {
  const { kind, what, signers, trust } = await verifyEvidenceFile(file, tenant)
  const { number } = trust
  const finding = {
    kind,
    what,
    signers: signers.map(hex),
    trust: { number, hash: hex(trust.hash) },
  }
  return isJson
    ? JSON.stringify(finding)
    : [
        `proven: ${kind}, ${what}`,
        ...finding.signers.map((one) => `signed with the key of certificate ${one}`),
        `under trust document ${number}, ${finding.trust.hash}`,
        'a key of this tenant’s derivers has signed this, by whosever hand; a relay signs nothing',
      ].join('\n')
}

export const inspectCommands: Record<string, Command> = {
  inspect: command({
    summary: 'say what any Keyferry file is, without any secret, and check evidence',
    operands: 1,
    options: { tenant: { type: 'string' } },
    help: `usage: keyferry inspect FILE [--tenant ID] [--json]

Says what a file is: signed document, evidence, bundle, manifest, welcome, tree object, certificate, CRL, app config or message, and what it
says. Needs no secret and checks no signature; what it prints is what the file claims.
With --tenant it checks a file of evidence, for which nothing but the tenant id is needed, and says what it proves; exit status 1 if that is
nothing.

example: keyferry inspect message.kf
example: keyferry inspect fork.evidence --tenant TENANT_ID
`,
    run: async (invocation) => {
      const file = readFile(operand(invocation, 'file'))
      const { tenant, json } = invocation.options
      if (tenant !== undefined) {
        invocation.out(await check(file, tenant, json === true))
        return 0
      }
      const shown = inspect(file)
      invocation.out(json === true ? JSON.stringify(shown) : describe(shown))
      return 0
    },
  }),
}
