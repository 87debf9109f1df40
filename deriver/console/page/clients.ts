/** Clients: devices that were given keys, and the end of one. */
import { type CRL_REASONS } from '../../../shared/issue.ts'
import { type ClientView, type RevokedView } from '../types.ts'
import { get, post } from './api.ts'
import { ask, say } from './dialog.ts'
import { count, fromNow, h, short, time, type Child } from './dom.ts'
import { button, empty, section, table, tag } from './pieces.ts'

/** Those that a list may give, and none. */
const REASONS: ('' | keyof typeof CRL_REASONS)[] = [
  '',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
]

function effects(would: RevokedView): HTMLElement {
  const { keys, certificates, keyrings, foreign, uris, until } = would
  return h(
    'ul',
    { class: 'effects' },
    h(
      'li',
      {},
      `${count(keys, 'key')} of ${uris.join(', ')} denied for good, here and at enrolment.`,
    ),
    h('li', {}, `${count(certificates, 'certificate')} on the next revocation list.`),
    h(
      'li',
      {},
      keyrings.length === 0
        ? 'No keyring is re-keyed: none was held.'
        : `Re-keyed, for all who stay: ${keyrings.join(', ')}.`,
    ),
    h(
      'li',
      {},
      'From ',
      time(until, true),
      ' on nobody encrypts under a key that it had. What it has it keeps.',
    ),
    ...foreign.map(({ serial, uri }) =>
      h('li', {}, `Your own CA has to list serial ${serial} of ${uri}.`),
    ),
  )
}

async function askRevoke({ uri, keyId }: ClientView): Promise<void> {
  const name = { device: keyId }
  const would = await post<RevokedView>('clients/revoke', { ...name, preview: true })
  const reason = h(
    'select',
    { id: 'reason' },
    ...REASONS.map((one) => h('option', { value: one }, one === '' ? 'none' : one)),
  )
  await ask({
    title: `Revoke ${uri}`,
    body: [
      h('p', {}, 'This cannot be taken back: to come back, the client makes a new key.'),
      effects(would),
      h('label', { for: 'reason' }, 'Reason on the revocation list'),
      reason,
    ],
    verb: 'Revoke this client',
    isDanger: true,
    act: async () => {
      const body = reason.value === '' ? name : { ...name, reason: reason.value }
      const did = await post<RevokedView>('clients/revoke', body)
      say(`Revoked: ${count(did.keyrings.length, 'keyring')} to be re-keyed`)
    },
  })
}

function row(one: ClientView, now: number): Child[] {
  const { uri, keyId, certificateUntil, heard, keyrings, isDenied, until } = one
  const isOver = until < now
  const standing = isDenied
    ? tag('revoked', 'bad')
    : isOver
      ? tag('ended', 'plain')
      : keyrings.length === 0
        ? tag('no keyring', 'plain')
        : null
  return [
    h(
      'span',
      { class: 'who' },
      h('span', { class: 'uri' }, uri),
      h('span', { class: 'fine' }, 'key ', short(keyId)),
    ),
    h('span', {}, ...keyrings.map((name) => tag(name, 'accent')), standing),
    heard === null
      ? h('span', { class: 'fine' }, 'not known')
      : h('span', { title: new Date(heard * 1000).toISOString() }, fromNow(heard, now)),
    h(
      'span',
      {},
      time(certificateUntil),
      certificateUntil < now + 3 * 86_400 && !isDenied
        ? tag(isOver ? 'ended' : 'soon', 'warn')
        : null,
    ),
    isDenied
      ? ''
      : button(
          'Revoke',
          `revoke ${keyId}`,
          () => {
            askRevoke(one).catch((error: unknown) => say((error as Error).message))
          },
          'danger',
        ),
  ]
}

/** Draws the clients. */
export async function drawClients(): Promise<HTMLElement[]> {
  const clients = await get<ClientView[]>('clients')
  const now = Date.now() / 1000
  return [
    section(
      'Devices',
      h(
        'p',
        { class: 'fine' },
        'A request is signed by the client, when it asks for keys or brings new ones. What it fetches in between only the relay sees, and nobody can prove.',
      ),
      clients.length === 0
        ? empty(
            'No client was given a key yet.',
            'Clients come here by themselves, when they ask for a keyring that a rule gives them.',
          )
        : table(
            'Devices that were given keys',
            ['Client', 'Keyrings', 'Last request', 'Certificate until', ''],
            clients.map((one) => row(one, now)),
          ),
    ),
  ]
}
