/** One entry of the log for each event. */
import { type Bytes } from '../../shared/bytes.ts'
import { encodeEntry, type Details, type LogEvent } from '../../shared/log.ts'
import { seeded } from './fixtures-keys.ts'

const keyring = seeded('keyring', 16)
const device = seeded('device')
const uri = 'keyferry://client.acme.example/ada'
const version = { incarnation: 1, keyring, version: 2 }
const member = { device, keyring, package: seeded('package'), uri }

export const ENTRIES: { [E in LogEvent]: Details<E> } = {
  'tenant-created': { authority: seeded('authority', 44), tenant: 'a'.repeat(52) },
  'trust-published': { hash: seeded('trust'), number: 2 },
  'incarnation-raised': { incarnation: 2, since: 40, trust: 2 },
  'catalog-proposed': { number: 8, root: seeded('root') },
  'catalog-signed': { number: 7, root: seeded('root') },
  'keyring-created': {
    keyring,
    kind: 'recoverable',
    rules: 'keyferry://client.acme.example/* keyferry://client.acme.example/b',
  },
  'generation-created': { generation: 3, incarnation: 1, keyring },
  'version-created': version,
  'version-activated': { incarnation: 0, keyring, version: 0 },
  'version-retired': version,
  'version-compromised': version,
  'destruction-ordered': { ...version, keyId: seeded('key id'), retention: 7_776_000 },
  'salts-erased': { ...version, completes: 1_797_592_600 },
  'version-destroyed': { ...version, keyId: seeded('key id'), record: seeded('record') },
  'bundle-made': {
    bundle: seeded('bundle'),
    generation: 3,
    incarnation: 1,
    keyring,
    versions: '1.1 1.2',
  },
  'member-added': member,
  'package-rotated': member,
  'member-rewelcomed': member,
  'member-removed': { device, keyring, uri },
  'request-refused': {
    keyring,
    reason: 'no rule covers this client',
    recipient: seeded('certificate'),
    refusal: seeded('refusal'),
    uri,
  },
  'request-kept': {
    device,
    keyring,
    recipient: seeded('certificate'),
    refusal: seeded('refusal'),
    uri,
  },
  'request-approved': { device, keyring, uri },
  'request-denied': { device, keyring, reason: 'not one of us', uri },
  'rules-changed': { added: uri, keyring, removed: '' },
  'rule-allowed': { keyring, rules: uri },
  'rekey-ordered': { device, package: seeded('package'), uri },
  'device-rekeyed': { device },
  'device-denied': { device, uri },
  'certificate-revoked': { serial: '0a1b', uri },
  'version-exported': {
    incarnation: 1,
    keyId: seeded('key id'),
    keyring,
    record: seeded('record'),
    targets: 'aws-kms RSAES_OAEP_SHA_256 5c3b',
    version: 2,
  },
  'import-proposed': { by: 'ada', name: 'notes' },
  'version-imported': {
    by: 'ada, bob',
    incarnation: 1,
    keyId: seeded('key id'),
    keyring,
    version: 2,
  },
  'root-added': { name: 'hsm', place: 'file:master', root: 2 },
  'root-used': { name: 'hsm', root: 2 },
  'root-removed': { name: 'main', root: 1 },
  'shares-made': { need: 2, of: 3, set: 'a'.repeat(13) },
  'backup-made': { set: '' },
  'backup-restored': { head: 12, incarnation: 1, made: 1_797_592_600 },
  'console-opened': { by: 'ada', session: seeded('session') },
  'console-ordered': { action: 'rotate notes', by: 'ada', session: seeded('session') },
}

/** Each with its leaf. */
export function encodedEntries(): [LogEvent, Bytes][] {
  return (Object.keys(ENTRIES) as LogEvent[]).map((event) => [
    event,
    encodeEntry(event, 1_795_000_000, ENTRIES[event]),
  ])
}
