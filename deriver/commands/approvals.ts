/** Requests that wait for an administrator. */
import { hex } from '../../shared/bytes.ts'
import { approveRequest, denyRequest, listRequests } from '../pending.ts'
import { date } from '../show.ts'
import { isAuthorityAway } from '../versions.ts'
import { command, operand, TEXT, usage, withStore, type Command } from './command.ts'

const idOf = (invocation: { operands: string[] }): number =>
  /^\d{1,10}$/.test(operand(invocation, 'request'))
    ? Number(invocation.operands[0])
    : usage('ID is the number of a request, as request list shows it')

export const approvalCommands: Record<string, Command> = {
  'request list': command({
    summary: 'list requests that wait for you',
    options: {},
    help: `usage: keyferry request list [--json]

Lists requests that no rule covers, for keyrings made with --approvals: at most 1,000, for at most 30 days.

example: keyferry request list
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const all = listRequests(store)
        const lines = all.map(
          ({ id, uri, keyring, keyId, asked, state, reason }) =>
            `${id}  ${uri}  key ${hex(keyId).slice(0, 16)}  wants ${keyring}  since ${date(asked)}  ${state}${reason === '' ? '' : `: ${reason}`}`,
        )
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify(all.map((one) => ({ ...one, keyId: hex(one.keyId) })))
            : lines.join('\n') || 'no requests',
        )
        return Promise.resolve(0)
      }),
  }),
  'request approve': command({
    summary: 'give a client the keyring that it asked for',
    operands: 1,
    options: {},
    help: `usage: keyferry request approve ID [--json]

Makes the client's URI a rule of the keyring, and allows it; every certificate with this URI is covered from then on. The running service
grants it; where the authority's keys are elsewhere, after the next catalog.

example: keyferry request approve 3
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { uri, keyring } = approveRequest(store, idOf(invocation), invocation.now())
        const waits = isAuthorityAway(store) ? ', after the next catalog of the authority' : ''
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ uri, keyring })
            : `${uri} gets ${keyring}${waits}`,
        )
        return Promise.resolve(0)
      }),
  }),
  'request deny': command({
    summary: 'deny a client the keyring that it asked for',
    operands: 1,
    options: { reason: TEXT },
    help: `usage: keyferry request deny ID [--reason TEXT] [--json]

Denies the request, and those of the same device for this keyring in the next 30 days. The client is told the reason, signed.

example: keyferry request deny 3 --reason 'ask your team lead'
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { reason = 'an administrator said no' } = invocation.options
        const id = idOf(invocation)
        denyRequest(store, id, reason, invocation.now())
        invocation.out(
          invocation.options.json === true ? JSON.stringify({ id, reason }) : `denied: ${reason}`,
        )
        return Promise.resolve(0)
      }),
  }),
}
