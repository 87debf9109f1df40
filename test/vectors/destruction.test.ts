// docs/vectors/destruction.json in every engine: whether a record says that a version is destroyed.
import vectors from '../../docs/vectors/destruction.json' with { type: 'json' }
import { fromBase64url } from '../../shared/bytes.ts'
import { verifyDestruction } from '../../shared/destruction.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { runCases } from './support.ts'

const { context } = vectors
const trust = await verifyGenesis(envelopeSchema(context.trust, ''), context.tenant)

runCases<{ envelope: unknown }, undefined>('destruction', vectors.cases, async ({ envelope }) => {
  await verifyDestruction(envelopeSchema(envelope, ''), {
    trust,
    crls: context.crls.map(fromBase64url),
  })
  return undefined
})
