/** The cards beside the messages: identity, keyrings, devices and the deriver's activity. */
import { type State } from './api.ts'
import { type IdentityFacts, type KeyringFacts } from './client.ts'
import { avatar, byId, clock, day, flash, h, setText, title } from './dom.ts'

/** Name and value pairs of a description list. */
function facts(rows: [string, string | Node][]): HTMLElement[] {
  return rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])
}

export function drawIdentity(identity: IdentityFacts): void {
  const code = (text: string): HTMLElement => h('span', { class: 'mono' }, text)
  byId('identity').replaceChildren(
    ...facts([
      ['Name', code(identity.uri)],
      [
        'Private key',
        `${identity.algorithm}, ${identity.isExtractable ? 'extractable' : 'non-extractable'}`,
      ],
      ['Fingerprint', code(identity.fingerprint.slice(0, 16).replace(/.{4}(?=.)/g, '$& '))],
      ['Issued by', 'Acme, over this web app'],
      ['Valid until', day(identity.validUntil)],
    ]),
  )
}

/** Words for states that say little by their name. */
const STATE_LABELS: Record<string, string> = { unadmitted: 'not admitted' }

const STATE_TONES: Record<string, string> = { ready: 'own', pending: 'user', offline: 'relay' }

const versions = new Map<string, number>()

export function drawKeyrings(rings: readonly KeyringFacts[]): void {
  const items = rings.map((ring) => {
    const version = h('dd', { 'data-version': ring.name }, String(ring.version))
    const before = versions.get(ring.name)
    if (before !== undefined && before !== ring.version) flash(version)
    versions.set(ring.name, ring.version)
    const tone = STATE_TONES[ring.state] ?? 'bad'
    return h(
      'div',
      { class: 'keyring' },
      h(
        'h3',
        {},
        title(ring.name),
        h('span', { class: `tag ${tone}` }, STATE_LABELS[ring.state] ?? ring.state),
      ),
      h('dl', {}, h('dt', {}, 'Key version'), version),
      h('dl', {}, h('dt', {}, 'Generation'), h('dd', {}, String(ring.generation))),
    )
  })
  byId('keyrings').replaceChildren(...items)
}

const nameOf = (uri: string): string => uri.slice(uri.lastIndexOf('/') + 1)

/** Devices by name, with a button for those that can be revoked. */
export function drawPeople(state: State, onRevoke: (name: string) => void): void {
  const rows = state.status.devices.map((device) => {
    const name = nameOf(device.uri)
    const isSelf = name === state.name
    const access = device.denied ? 'Revoked' : device.keyrings.join(', ') || 'No keyring'
    const action = device.denied
      ? h('span', { class: 'tag bad' }, 'Revoked')
      : isSelf
        ? h('span', { class: 'tag user' }, 'You')
        : h(
            'button',
            {
              type: 'button',
              class: 'button danger small',
              disabled: state.revoked.includes(state.name),
              'data-revoke': name,
              onclick: () => onRevoke(name),
            },
            `Revoke ${title(name)}`,
          )
    return h(
      'li',
      { class: `person ${device.denied ? 'gone' : ''}` },
      avatar(name),
      h('div', {}, h('b', {}, title(name)), h('small', {}, device.denied ? device.uri : access)),
      action,
    )
  })
  const none = h('li', { class: 'muted' }, 'No device has been admitted yet.')
  // A list that is the same keeps the focus of its buttons.
  const text = JSON.stringify([state.status.devices, state.revoked])
  const list = byId('people')
  if (list.dataset['drawn'] === text) return
  list.dataset['drawn'] = text
  list.replaceChildren(...(rows.length === 0 ? [none] : rows))
}

/** What the deriver says of itself: its numbers and its log, newest first. */
export function drawDeriver({ status, events }: State): void {
  setText('deriver-head', status.head === null ? '–' : String(status.head.version))
  setText('deriver-keyrings', String(status.keyrings.length))
  setText('deriver-devices', String(status.devices.filter(({ denied }) => !denied).length))
  const lines = events
    .toReversed()
    .slice(0, 30)
    .map(({ time, text }) => h('li', {}, h('time', {}, clock(time)), h('span', {}, text)))
  byId('log').replaceChildren(...lines)
}

/** The line of state under the title. */
export function say(state: 'busy' | 'ready' | 'bad', text: string): void {
  byId('status').dataset['state'] = state
  setText('status-text', text)
}
