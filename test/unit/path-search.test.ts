import { describe, expect, it } from 'vitest'
import { type Bytes, fromHex } from '../../shared/bytes.ts'
import { derInteger } from '../../shared/der.ts'
import { findPath, type SearchInput } from '../../shared/path-search.ts'
import {
  aki,
  basic,
  CLIENT_AUTH,
  type Difference,
  errorCode,
  makeCertificate,
  makeWorld,
  NOW,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('ES256')
const { root, ca, leaf, extensions } = world

async function make(difference: Difference = {}, more: Bytes[] = []): Promise<SearchInput> {
  const { certificates, anchors, crls } = await world.make(difference)
  const [first, ...candidates] = certificates
  const rules = { now: NOW, eku: [CLIENT_AUTH], crls }
  return { leaf: first!, candidates: [...more, ...candidates], anchors, ...rules }
}

describe('findPath', () => {
  it('puts certificates in order', async () => {
    const input = await make()
    const other = await makeCertificate(leaf, ca, extensions.leaf, { serial: derInteger(9) })
    const candidates = [fromHex('3000'), other, input.anchors[0]!, ...input.candidates]
    const found = await findPath({ ...input, candidates })
    expect(found.certificates.map((one) => one.der)).toEqual([input.leaf, input.candidates[0]])
    expect(found.anchor.der).toEqual(input.anchors[0])
    expect(found.issuers).toHaveLength(2)
  })

  it('goes on after a path that is not valid', async () => {
    const expired = await makeCertificate(ca, root, extensions.ca, {
      serial: derInteger(9),
      notAfter: NOW - 1,
    })
    expect(await errorCode(async () => findPath(await make({}, [expired])))).toBe('ok')
    const only = { ...(await make()), candidates: [expired] }
    expect(await errorCode(() => findPath(only))).toBe('ERR_CERT_EXPIRED')
  })

  it('refuses what no path leads to, and an anchor as end entity', async () => {
    const input = await make()
    const refused = (more: Partial<SearchInput>) => errorCode(() => findPath({ ...input, ...more }))
    expect(await refused({ candidates: [] })).toBe('ERR_PATH_INVALID')
    expect(await refused({ anchors: [] })).toBe('ERR_PATH_INVALID')
    expect(await refused({ anchors: [input.leaf] })).toBe('ERR_PATH_INVALID')
    expect(await refused({ anchors: [...input.anchors, input.leaf] })).toBe('ERR_PATH_INVALID')
    expect(await refused({ leaf: fromHex('3000') })).toBe('ERR_MALFORMED')
    expect(await refused({ maxIntermediates: 0 })).toBe('ERR_PATH_INVALID')
    expect(await refused({ crls: [] })).toBe('ERR_CRL')
  })

  it('checks key identifiers and signatures on the way', async () => {
    const changed = { extensions: { aki: aki(root.id) } }
    expect(await errorCode(async () => findPath(await make({ leaf: changed })))).toBe(
      'ERR_PATH_INVALID',
    )
    expect(await errorCode(async () => findPath(await make({ leaf: { key: root.key } })))).toBe(
      'ERR_PATH_INVALID',
    )
  })

  it('a CA whose key is a point off its curve has issued nothing', async () => {
    const off = ca.key.spki.with(90, ca.key.spki[90]! ^ 1)
    const broken = await makeCertificate(ca, root, extensions.ca, { spki: off })
    expect(await errorCode(async () => findPath(await make({}, [broken])))).toBe('ok')
  })

  it('ends within its budget where certificates of one name sign each other', async () => {
    const loops = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        makeCertificate(
          ca,
          ca,
          { ...extensions.ca, aki: aki(ca.id), basic: basic(true) },
          {
            serial: derInteger(100 + i),
          },
        ),
      ),
    )
    const input = { ...(await make()), candidates: loops }
    expect(await errorCode(() => findPath(input))).toBe('ERR_PATH_INVALID')
  })
})
