/** Vectors of certification paths, one at least for every rule, in Ed25519 and under CAs of the other algorithms. All signatures are deterministic. */
import { hex, type Bytes } from '../../shared/bytes.ts'
import { type PathInput } from '../../shared/path.ts'
import { makeEd25519, makeP384, makeRsa } from './fixtures-keys.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { type Difference, makeWorld, type World } from './odd-certificates.ts'
import { acceptedPaths, refusedPaths } from './path-cases.ts'

function written({ certificates, anchors, crls, now, eku }: PathInput): object {
  const list = crls === 'unsafe-without-revocation' ? [] : (crls as readonly Bytes[])
  return {
    certificates: certificates.map(hex),
    anchors: anchors.map(hex),
    crls: list.map(hex),
    now: Number.isNaN(now) ? null : now,
    eku,
  }
}

export async function pathVectors(): Promise<object> {
  const [root, ca, leaf] = await Promise.all(['root', 'ca', 'leaf'].map((one) => makeEd25519(one)))
  const keys = { root: root!, ca: ca!, leaf: leaf! }
  const world = await makeWorld('Ed25519', keys)
  const cases: Vector[] = []
  const add = async (
    of: World,
    title: string,
    expect: Vector['expect'],
    difference: Difference,
  ): Promise<void> => {
    cases.push(vector(title, written(await of.make(difference)), expect))
  }
  await add(world, 'a valid path', 'ok', {})
  const others = {
    'a valid path of CAs with P-384': { ...keys, root: makeP384('root'), ca: makeP384('ca') },
    'a valid path of a CA with RSA': { ...keys, root: makeRsa() },
  }
  for (const [title, own] of Object.entries(others)) {
    await add(await makeWorld('Ed25519', own), title, 'ok', {})
  }
  const foreign = await makeWorld('Ed25519', { ...keys, leaf: makeP384('leaf') })
  await add(foreign, '[path-1] a leaf whose key may not sign documents', 'ERR_CERT_PROFILE', {})
  for (const [title, difference] of acceptedPaths(world)) await add(world, title, 'ok', difference)
  for (const [title, code, difference] of refusedPaths(world)) {
    await add(world, title, code, difference)
  }
  return { cases }
}
