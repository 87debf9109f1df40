/** Makes docs/vectors/*.json from fixed seeds (`npm run vectors`): the same bytes every time. */
import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { makeWorld } from '../lib/fixtures-delivery.ts'
import { httpVectors, keyPackageVectors } from '../lib/fixtures-vectors-calls.ts'
import { deliveryVectors } from '../lib/fixtures-vectors-delivery.ts'
import { destructionVectors } from '../lib/fixtures-vectors-destruction.ts'
import { enrolmentVectors } from '../lib/fixtures-vectors-enrolment.ts'
import { evidenceVectors } from '../lib/fixtures-vectors-evidence.ts'
import { formatVectors } from '../lib/fixtures-vectors-formats.ts'
import { keyVectors, welcomeVectors } from '../lib/fixtures-vectors-keys.ts'
import { pathVectors } from '../lib/fixtures-vectors-paths.ts'
import { refusalVectors } from '../lib/fixtures-vectors-refusals.ts'
import { senderVectors } from '../lib/fixtures-vectors-senders.ts'
import { envelopeVectors } from '../lib/fixtures-vectors-signed.ts'
import { trustVectors } from '../lib/fixtures-vectors-trust.ts'
import {
  derivationVectors,
  encodingVectors,
  jsonVectors,
  treeVectors,
} from '../lib/fixtures-vectors.ts'

export const VECTORS: string = fileURLToPath(new URL('../../docs/vectors/', import.meta.url))

/** The text of each file, by its name. */
export async function makeVectors(): Promise<Record<string, string>> {
  const world = await makeWorld()
  const files = {
    encoding: encodingVectors(),
    json: jsonVectors(),
    derivation: derivationVectors(),
    tree: treeVectors(),
    format: formatVectors(world),
    path: await pathVectors(),
    envelope: await envelopeVectors(world),
    trust: await trustVectors(world),
    'key-package': await keyPackageVectors(world),
    http: await httpVectors(world),
    welcome: welcomeVectors(world),
    keys: await keyVectors(world),
    delivery: await deliveryVectors(world),
    refusal: await refusalVectors(world),
    destruction: await destructionVectors(world),
    evidence: await evidenceVectors(world),
    sender: await senderVectors(world),
    enrolment: await enrolmentVectors(),
  }
  return Object.fromEntries(
    Object.entries(files).map(([name, value]) => [
      `${name}.json`,
      `${JSON.stringify(value, null, 1)}\n`,
    ]),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await mkdir(VECTORS, { recursive: true })
  for (const [name, text] of Object.entries(await makeVectors())) {
    await writeFile(VECTORS + name, text)
  }
}
