/** Senders that were forged, moved, taken off, backdated, or whose revocation is hidden: by members, by those who were, by a thief of the deriver's key (threats 3.3). */
import { concat, equal, utf8, type Bytes } from '../../../shared/bytes.ts'
import { sha256 } from '../../../shared/hash.ts'
import { type Signer } from '../../../shared/http-signature.ts'
import { decryptMessage, encryptMessage } from '../../../shared/message.ts'
import { signData, signMessage } from '../../../shared/sender.ts'
import { encodeClaim } from '../../../shared/signed-message.ts'
import { type DecryptOptions } from '../../../web/index.ts'
import { callOf } from '../../lib/client-call.ts'
import { type Attack, type Stage } from '../../lib/hostile-stage.ts'
import { DAY, issueSigner, makeCa, random, revoke, uriOf } from '../../lib/world.ts'
import { keyOf } from './messages.ts'

const MEMBER = 'fellow member'
const REMOVED = 'removed member, whose certificate is revoked'
const THIEF = "thief of the deriver's key"
const LEE = uriOf('client', 'lee')
const DATA = utf8('signed')
const NO_CONTEXT: Bytes = new Uint8Array()

const identify = ({ relay }: Stage, name: string): Promise<Signer> =>
  issueSigner(relay.world.cas.client, uriOf('client', name), relay.now)

/** The key of a version, as every member has it that ever had it; the first one by default. */
function versionKey(stage: Stage, index = 0) {
  const { secret, version } = stage.relay.keyrings[0]!.versions[index]!
  return keyOf(stage, secret, version)
}

/** What a member with a version's key makes: a signed message, in which what it wants is otherwise. */
async function forgeMessage(
  stage: Stage,
  signer: Signer,
  {
    key = signer.key,
    certificates = signer.certificates,
    version = 0,
    signedAt = stage.relay.now,
  }: Partial<Signer> & { version?: number; signedAt?: number } = {},
): Promise<Bytes> {
  const { key: messageKey, keyId } = await versionKey(stage, version)
  const claim = { certificates, signedAt }
  const salt = random(24)
  const statement = {
    tenant: stage.relay.world.tenant,
    keyring: stage.relay.keyrings[0]!.id,
    content: sha256(DATA),
    context: sha256(NO_CONTEXT),
    key: keyId,
    salt,
  }
  const framed = concat(encodeClaim(claim), DATA, await signMessage(statement, claim, key))
  return encryptMessage(messageKey, keyId, NO_CONTEXT, salt, framed, true)
}

/** A signature beside the data, for a keyring of the stage. */
const signBeside = ({ relay }: Stage, signer: Signer, keyring = 0, signedAt = relay.now) =>
  signData(
    {
      tenant: relay.world.tenant,
      keyring: relay.keyrings[keyring]!.id,
      content: sha256(DATA),
      context: sha256(NO_CONTEXT),
    },
    signer,
    signedAt,
  )

const attack = (
  row: string,
  code: Attack['code'],
  actor: string,
  act: NonNullable<Attack['act']>,
  play: Attack['play'] = () => {},
): Attack => ({ row, actor, code, victims: ['held'], play, act })

const decrypting =
  (
    make: (stage: Stage) => Promise<Bytes>,
    options: DecryptOptions = {},
  ): NonNullable<Attack['act']> =>
  async (stage) =>
    stage.notes.decrypt(await make(stage), options)

/** A member that the keyring had, whose certificate its CA has revoked since, and the version that it never had. */
const removed = new WeakMap<Stage, Signer>()
async function removeMember(stage: Stage): Promise<void> {
  const mallory = await identify(stage, 'mallory')
  removed.set(stage, mallory)
  await revoke(stage.relay.world.cas.client, mallory, stage.relay.now)
  await stage.rotate()
  await stage.client.refresh()
}

/** Names, in a head of its own, a list of the clients' CA that the thief likes better. */
const nameList = async (stage: Stage, crl: Bytes): Promise<void> => {
  const { client } = stage.relay.world.cas
  await stage.next()
  stage.twistHead((body) => ({
    ...body,
    crls: body.crls.map((one) =>
      equal(one.issuer, client.keyId) ? { ...one, hash: sha256(crl) } : one,
    ),
  }))
  await stage.client.refresh()
  stage.relay.interfere = (url, init) =>
    callOf(url, init) === 'object'
      ? new Response(crl, { headers: { 'content-type': 'application/octet-stream' } })
      : undefined
}

export const senders: readonly Attack[] = [
  attack(
    "3.3 forged sender: another member's certificate over a signature of one's own",
    'ERR_SIGNATURE',
    MEMBER,
    decrypting(async (stage) => {
      const [lee, mallory] = [await identify(stage, 'lee'), await identify(stage, 'mallory')]
      return forgeMessage(stage, lee, { key: mallory.key })
    }),
  ),
  attack('3.3 forged sender: the same beside data', 'ERR_SIGNATURE', MEMBER, async (stage) => {
    const [lee, mallory] = [await identify(stage, 'lee'), await identify(stage, 'mallory')]
    const forged = await signBeside(stage, { ...lee, key: mallory.key })
    return stage.notes.verify(forged, DATA)
  }),
  attack(
    "3.3 forged sender: another one's data, encrypted again under a signature of one's own",
    'ERR_SENDER',
    MEMBER,
    decrypting(async (stage) => forgeMessage(stage, await identify(stage, 'mallory')), {
      from: LEE,
    }),
  ),
  attack(
    '3.3 forged sender: a certificate for a name that the tenant gave to nobody',
    'ERR_PATH_INVALID',
    MEMBER,
    decrypting(async (stage) => {
      const own = await makeCa('client', stage.relay.now)
      return forgeMessage(stage, await issueSigner(own, LEE, stage.relay.now))
    }),
  ),
  attack(
    '3.3 moved signature: into another message of the same keyring, version and context',
    'ERR_SIGNATURE',
    MEMBER,
    decrypting(async (stage) => {
      const honest = await forgeMessage(stage, await identify(stage, 'lee'))
      const { key, keyId } = await versionKey(stage)
      const framed = await decryptMessage(key, honest, NO_CONTEXT)
      return encryptMessage(key, keyId, NO_CONTEXT, random(24), framed, true)
    }),
  ),
  attack(
    '3.3 moved signature: from one keyring to another',
    'ERR_KEYRING',
    'member of both keyrings',
    async (stage) =>
      stage.notes.verify(await signBeside(stage, await identify(stage, 'lee'), 1), DATA),
  ),
  attack('3.3 moved signature: to other data', 'ERR_HASH', 'anybody who stores it', async (stage) =>
    stage.notes.verify(await signBeside(stage, await identify(stage, 'lee')), utf8('other')),
  ),
  attack(
    '3.3 stripped sender: the form of the message is changed',
    'ERR_OPEN',
    'anybody who stores the message',
    decrypting(async (stage) =>
      (await forgeMessage(stage, await identify(stage, 'lee'))).with(7, 1),
    ),
  ),
  attack(
    '3.3 stripped sender: the data are encrypted again, unsigned',
    'ERR_UNSIGNED',
    MEMBER,
    decrypting(
      async (stage) => {
        const { key, keyId } = await versionKey(stage)
        return encryptMessage(key, keyId, NO_CONTEXT, random(24), DATA)
      },
      { from: true },
    ),
  ),
  attack(
    '3.3 removed member: an unsigned message under a version that it had, where a sender is asked for',
    'ERR_UNSIGNED',
    REMOVED,
    decrypting(
      async (stage) => {
        const { key, keyId } = await versionKey(stage, 1)
        return encryptMessage(key, keyId, NO_CONTEXT, random(24), DATA)
      },
      { from: true },
    ),
    removeMember,
  ),
  attack(
    '3.3 removed member: a message under a version that it had, signed by itself',
    'ERR_CERT_REVOKED',
    REMOVED,
    decrypting((stage) => forgeMessage(stage, removed.get(stage)!, { version: 1 }), { from: true }),
    removeMember,
  ),
  attack(
    '3.3 removed member: a message under a version that it had, signed by itself, where nobody asks',
    'ERR_CERT_REVOKED',
    REMOVED,
    decrypting((stage) => forgeMessage(stage, removed.get(stage)!, { version: 1 })),
    removeMember,
  ),
  attack(
    '3.3 removed member: the same message in the name of another',
    'ERR_SIGNATURE',
    REMOVED,
    decrypting(
      async (stage) => {
        const { certificates } = await identify(stage, 'lee')
        return forgeMessage(stage, removed.get(stage)!, { version: 1, certificates })
      },
      { from: LEE },
    ),
    removeMember,
  ),
  attack(
    '3.3 backdated signature: from before the revocation',
    'ERR_CERT_REVOKED',
    REMOVED,
    async (stage) =>
      stage.notes.verify(
        await signBeside(stage, removed.get(stage)!, 0, stage.relay.now - 3_000),
        DATA,
      ),
    removeMember,
  ),
  attack('3.3 backdated signature: from the future', 'ERR_FUTURE', MEMBER, async (stage) => {
    const mallory = await identify(stage, 'mallory')
    return stage.notes.verify(await signBeside(stage, mallory, 0, stage.relay.now + DAY), DATA)
  }),
  attack(
    '3.3 deriver as sender: it signs a message',
    'ERR_PATH_INVALID',
    THIEF,
    decrypting((stage) => forgeMessage(stage, stage.relay.world.deriver)),
  ),
  attack('3.3 deriver as sender: it signs data', 'ERR_PATH_INVALID', THIEF, async (stage) =>
    stage.notes.verify(await signBeside(stage, stage.relay.world.deriver), DATA),
  ),
  attack(
    '3.3 hidden revocation: the relay gives an earlier list in place of the one that the head names',
    'ERR_HASH',
    'relay',
    async (stage) => stage.notes.verify(await signBeside(stage, removed.get(stage)!), DATA),
    async (stage) => {
      const before = stage.relay.world.cas.client.crl
      await removeMember(stage)
      stage.relay.interfere = (url, init) =>
        callOf(url, init) === 'object'
          ? new Response(before, { headers: { 'content-type': 'application/octet-stream' } })
          : undefined
    },
  ),
  attack(
    '3.3 hidden revocation: the relay has no list',
    'ERR_NOT_FOUND',
    'relay',
    async (stage) => stage.notes.verify(await signBeside(stage, removed.get(stage)!), DATA),
    async (stage) => {
      await removeMember(stage)
      stage.relay.interfere = (url, init) =>
        callOf(url, init) === 'object' ? new Response(null, { status: 404 }) : undefined
    },
  ),
  attack(
    '3.3 hidden revocation: a head names a list that the CA did not sign',
    'ERR_CRL',
    THIEF,
    async (stage) => stage.notes.verify(await signBeside(stage, removed.get(stage)!), DATA),
    async (stage) => {
      await removeMember(stage)
      const own = await makeCa('client', stage.relay.now)
      await nameList(stage, own.crl)
    },
  ),
]
