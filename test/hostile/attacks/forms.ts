/** Documents in places and forms that they do not have: types, signers, JSON (threats 3.3). */
import { signWithCertificate } from '../../../shared/envelope.ts'
import { type Attack } from '../../lib/hostile-stage.ts'
import { issueSigner, makeClient, random, uriOf } from '../../lib/world.ts'

const RELAY = 'relay'
const THIEF = "relay + deriver's key"

export const forms: readonly Attack[] = [
  {
    row: '3.3 exclusive ownership: a head whose body names another signer',
    actor: THIEF,
    code: 'ERR_SIGNER',
    async play(stage) {
      const { world, now } = stage.relay
      const second = await issueSigner(world.cas.deriver, uriOf('deriver', 'two'), now)
      await stage.next()
      stage.twistHead((body) => body, second)
    },
  },
  {
    row: '3.3 exclusive ownership: a signature under the key id of another certificate',
    actor: THIEF,
    code: 'ERR_SIGNER',
    async play(stage) {
      await stage.next()
      stage.twist(({ head, ...rest }) => ({
        ...rest,
        head: { ...head, signatures: [{ ...head.signatures[0]!, keyid: random(32) }] },
      }))
    },
  },
  {
    row: '3.3 cross-type: a client’s key package where the head belongs',
    actor: RELAY,
    code: 'ERR_PAYLOAD_TYPE',
    async play(stage) {
      await stage.next()
      const fellow = await makeClient(stage.relay.world, 'mallory')
      stage.twist((delivery) => ({ ...delivery, head: fellow.package }))
    },
  },
  {
    row: '3.3 cross-type: the catalog where the trust document belongs',
    actor: RELAY,
    code: 'ERR_PAYLOAD_TYPE',
    async play(stage) {
      await stage.next()
      const { catalog } = stage.relay.publication!
      stage.twist((delivery) => ({ ...delivery, trust: [...delivery.trust, catalog] }))
    },
  },
  {
    row: '3.3 cross-type: the trust document where the catalog belongs',
    actor: RELAY,
    code: 'ERR_PAYLOAD_TYPE',
    async play(stage) {
      await stage.next()
      stage.twist((delivery) => ({ ...delivery, catalog: stage.relay.world.trusts[0]! }))
    },
  },
  {
    row: '3.3 cross-type: a key request’s body signed as a head by its client',
    actor: 'relay + client',
    code: 'ERR_PATH_INVALID',
    async play(stage) {
      await stage.next()
      const { key, certificates } = stage.identity
      stage.twist(async (delivery) => ({
        ...delivery,
        head: await signWithCertificate(
          'head',
          { tenant: stage.relay.world.tenant },
          key,
          certificates,
        ),
      }))
    },
  },
  ...(
    [
      [
        'two fields of one name',
        (text: string) => text.replace('{', '{"catalog":1,'),
        'ERR_NOT_CANONICAL',
      ],
      ['white space', (text: string) => text.replace('{', '{ '), 'ERR_NOT_CANONICAL'],
      [
        'an escape that need not be',
        (text: string) => text.replace('"tenant"', '"\\u0074enant"'),
        'ERR_NOT_CANONICAL',
      ],
      [
        'a number beyond 2^53',
        (text: string) => text.replace(/"version":\d+/, '"version":9007199254740993'),
        'ERR_NOT_CANONICAL',
      ],
      [
        'a number that is not an integer',
        (text: string) => text.replace(/"version":\d+/, '"version":5.5'),
        'ERR_NOT_CANONICAL',
      ],
      ['a byte order mark', (text: string) => `\uFEFF${text}`, 'ERR_MALFORMED'],
      ['a field that nobody knows', (text: string) => text.replace(/}$/, ',"z":1}'), 'ERR_SCHEMA'],
      [
        'a field that is called __proto__',
        (text: string) => text.replace('{', '{"__proto__":{},'),
        'ERR_SCHEMA',
      ],
      [
        'slack bits in base64url',
        (text: string) => text.replace(/"root":"([^"]*)[A-Za-z0-9_-]"/, '"root":"$1B"'),
        'ERR_NOT_CANONICAL',
      ],
    ] as const
  ).map(([what, change, code]): Attack => ({
    row: `3.3 JSON: ${what} in a signed head`,
    actor: THIEF,
    code,
    async play(stage) {
      await stage.next()
      stage.twistHeadText(change)
    },
  })),
]
