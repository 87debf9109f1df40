// docs/vectors/refusal.json in every engine: whether a refusal is the deriver's word to this client.
import { equal, fromBase64url, fromHex } from '../../shared/bytes.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { openRefusal } from '../../web/refusal.ts'
import vectors from '../../docs/vectors/refusal.json' with { type: 'json' }
import { runCases } from './support.ts'

interface Context {
  now: number
  crls: string[]
  isMember: boolean
  shown: { head: { incarnation: number; version: number }; release: string } | null
}

const { context } = vectors
const trust = await verifyGenesis(envelopeSchema(context.trust, ''), context.tenant)

runCases<Partial<Context> & { envelope: unknown }, { kind: string }>(
  'refusal',
  vectors.cases,
  async ({ envelope, ...edit }) => {
    const { now, crls, isMember, shown }: Context = { ...context, ...edit }
    const { kind } = await openRefusal(envelopeSchema(envelope, ''), {
      trust,
      now,
      crls: crls.map(fromBase64url),
      recipient: fromHex(context.recipient),
      head: context.head,
      noncesOf: (keyring) =>
        equal(keyring, fromHex(context.keyring)) ? [fromHex(context.nonce)] : undefined,
      isMember: () => isMember,
      packageHash: fromHex(context.package),
      lastShown: () =>
        Promise.resolve(shown === null ? undefined : { ...shown, release: fromHex(shown.release) }),
    })
    return { kind }
  },
)
