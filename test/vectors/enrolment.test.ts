// docs/vectors/enrolment.json in every engine: what the app's page and its backend both read and sign.
import { fromHex, hex } from '../../shared/bytes.ts'
import { parseCsr } from '../../shared/csr.ts'
import {
  enrolAnswerSchema,
  enrolGrantSchema,
  enrolPendingSchema,
  enrolRequestSchema,
  enrolStatement,
} from '../../shared/enrol.ts'
import { decide, type Continuity } from '../../web/enrolment/continuity.ts'
import vectors from '../../docs/vectors/enrolment.json' with { type: 'json' }
import { plain, runCases } from './support.ts'

runCases<{ uri: string; nonce: string; csr: string }, string>(
  'statement',
  vectors.statements,
  ({ uri, nonce, csr }) => hex(enrolStatement(uri, nonce, fromHex(csr))),
)

const SCHEMAS = {
  request: enrolRequestSchema,
  grant: enrolGrantSchema,
  answer: enrolAnswerSchema,
  pending: enrolPendingSchema,
}

runCases<{ kind: keyof typeof SCHEMAS; json: unknown }, never>(
  'body',
  vectors.bodies,
  ({ kind, json }) => SCHEMAS[kind](json, ''),
)

runCases<string, object>('certification request', vectors.requests, async (csr) =>
  plain(await parseCsr(fromHex(csr))),
)

interface KeyInput {
  uri: string
  id: string
  csr: string
  nonce: string
  known: { keyId: string; notAfter: number; isRevoked: boolean }[]
  proof: { key: string; signature: string } | null
  steppedUpAt: number | null
  accept: Continuity[]
  now: number
}

runCases<KeyInput, object>(
  'further key',
  vectors.keys,
  ({ uri, id, csr, known, proof, steppedUpAt, ...input }) =>
    decide({
      ...input,
      session: { id: 'session', uri, ...(steppedUpAt === null ? {} : { steppedUpAt }) },
      id: fromHex(id),
      csr: fromHex(csr),
      known: known.map((one) => ({ ...one, keyId: fromHex(one.keyId) })),
      proof: proof && { key: fromHex(proof.key), signature: fromHex(proof.signature) },
      approvals: undefined,
    }),
)
