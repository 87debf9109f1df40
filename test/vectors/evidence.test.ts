// docs/vectors/evidence.json in every engine: what a file of evidence proves.
import vectors from '../../docs/vectors/evidence.json' with { type: 'json' }
import { fromBase64url } from '../../shared/bytes.ts'
import { verifyEvidenceFile } from '../../shared/log-evidence.ts'
import { runCases } from './support.ts'

runCases<{ file: string; tenant: string }, { kind: string }>(
  'evidence',
  vectors.cases,
  async ({ file, tenant }) => {
    const { kind } = await verifyEvidenceFile(fromBase64url(file), tenant)
    return { kind }
  },
)
