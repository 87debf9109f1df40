/** What the first system of this kind let through and no other file has: certificates, choices, rest (W1 to W28), and weak keys (threats 3.3). */
import { decodeBundle, encodeBundle } from '../../../shared/bundle.ts'
import { utf8 } from '../../../shared/bytes.ts'
import { sha256 } from '../../../shared/hash.ts'
import { encodeJson } from '../../../shared/json.ts'
import { type Attack } from '../../lib/hostile-stage.ts'
import { certify, EVERYTHING, WEAK_SPKI } from '../../lib/odd-signer.ts'
import { issueSigner, revoke, uriOf } from '../../lib/world.ts'

const RELAY = 'relay'
const THIEF = "relay + deriver's key"

/** Takes what is forged for "notes", without which the delivery goes on to be asked for "orders"; then uses it. */
const encrypting: Attack['act'] = async ({ client, notes }) => {
  await client.refresh().catch(() => {})
  return notes.encrypt('x')
}

export const weaknesses: readonly Attack[] = [
  {
    row: '3.3 small-order Ed25519: a deriver’s certificate whose key "signs" everything',
    actor: 'relay + such a certificate',
    code: 'ERR_WEAK_KEY',
    async play(stage) {
      const { world, now } = stage.relay
      const weak = await certify(world.cas.deriver, WEAK_SPKI, uriOf('deriver', 'two'), now)
      await stage.next()
      stage.twist(({ head, ...rest }) => ({
        ...rest,
        head: {
          ...head,
          certificates: [weak],
          payload: encodeJson({ ...stage.relay.publication!.body, signer: sha256(weak) }),
          signatures: [{ keyid: sha256(weak), sig: EVERYTHING }],
        },
      }))
    },
  },
  {
    row: 'W9 nobody: a head with neither certificate nor a signature that fits',
    actor: RELAY,
    code: 'ERR_PATH_INVALID',
    async play(stage) {
      await stage.next()
      stage.twist(({ head, ...rest }) => ({
        ...rest,
        head: {
          ...head,
          certificates: [],
          signatures: [{ keyid: new Uint8Array(32), sig: new Uint8Array(64) }],
        },
      }))
    },
  },
  {
    row: 'W11 a bare public key where the certificate belongs',
    actor: RELAY,
    code: 'ERR_MALFORMED',
    async play(stage) {
      const { key } = await issueSigner(
        stage.relay.world.cas.deriver,
        uriOf('deriver', 'x'),
        stage.relay.now,
      )
      await stage.next()
      stage.twistHead((body) => ({ ...body, signer: sha256(key.spki) }), {
        key,
        certificates: [key.spki],
      })
    },
  },
  {
    row: 'W18 a sender that is over: a revoked deriver goes on signing',
    actor: THIEF,
    code: 'ERR_CERT_REVOKED',
    async play(stage) {
      const { world, now } = stage.relay
      const thief = world.deriver
      await revoke(world.cas.deriver, thief, now)
      world.deriver = await issueSigner(world.cas.deriver, uriOf('deriver', 'two'), now)
      await stage.next()
      stage.twistHead((body) => ({ ...body, signer: sha256(thief.certificates[0]!) }), thief)
    },
  },
  {
    row: 'W15 no version to encrypt with: no other is taken in its place',
    actor: THIEF,
    code: 'ERR_KEY_VERSION',
    victims: ['held'],
    isRefused: false,
    async play(stage) {
      await stage.next()
      stage.forge({ release: (body) => ({ ...body, encrypt: { incarnation: 0, version: 0 } }) })
      stage.restore = () => {
        stage.relay.version++
      }
    },
    act: encrypting,
  },
  {
    row: 'W15 the version to encrypt with is deactivated: no other is taken in its place',
    actor: THIEF,
    code: 'ERR_KEY_VERSION',
    victims: ['held'],
    isRefused: false,
    async play(stage) {
      await stage.next()
      stage.forge({ release: (body) => ({ ...body, deactivated: [body.encrypt] }) })
      stage.restore = () => {
        stage.relay.version++
      }
    },
    act: encrypting,
  },
  {
    row: 'W19 a client that never rests: no use of a key makes what it knows younger',
    actor: RELAY,
    code: 'ERR_STALE',
    victims: ['held'],
    play({ relay }) {
      relay.interfere = () => new Response(null, { status: 204 })
    },
    async act({ relay, notes, client }) {
      const began = relay.now
      while (relay.now <= began + 3_660) {
        await notes.encrypt('x')
        await client.refresh()
        relay.now += 60
      }
      return notes.encrypt('x')
    },
  },
  {
    row: 'W22 the name of something else that is stored, in the place of a keyring’s id',
    actor: RELAY,
    code: 'ERR_SCHEMA',
    async play(stage) {
      stage.twistItem((item) => item)
      await stage.next()
      stage.rewrite((text) => text.replace(/"keyring":"[^"]*"/, '"keyring":"identity"'))
    },
  },
  {
    row: 'W24 a bundle that states more entries than it has',
    actor: THIEF,
    code: 'ERR_MALFORMED',
    async play(stage) {
      await stage.next()
      stage.forge(({ bundle }) => {
        const cut = encodeBundle({ ...decodeBundle(bundle), entries: [] })
        return { bundle: cut.with(cut.length - 1, 200) }
      })
    },
  },
  {
    row: 'W27 plain text in the place of a message is not given back as it is',
    actor: 'anybody who stores the message',
    code: 'ERR_MALFORMED',
    victims: ['held'],
    play: () => {},
    act: ({ notes }) => notes.decrypt(utf8('what the store holds, and nobody encrypted')),
  },
]
