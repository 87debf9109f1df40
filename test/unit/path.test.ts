// Certification paths: one valid one, and what is refused or accepted that differs from it.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { derBits, derInteger, derSequence } from '../../shared/der.ts'
import { type PathInput, validatePath } from '../../shared/path.ts'
import {
  algorithmIdentifier,
  generateSigningKey,
  keyId,
  readSigned,
  signBytes,
  type SigningKey,
} from '../../shared/signature.ts'
import { certificateFingerprint, parseCertificate } from '../../shared/x509.ts'
import {
  aki,
  basic,
  crlNumber,
  entry,
  errorCode,
  type Extensions,
  flips,
  makeCertificate,
  makeCrl,
  makeWorld,
  name,
  nameConstraints,
  NOW,
  type Odd,
  san,
  ski,
  truncations,
  URI,
  uriName,
} from '../lib/odd-certificates.ts'
import { acceptedPaths, refusedPaths } from '../lib/path-cases.ts'

const world = await makeWorld('ES256')
const { root, ca, leaf } = world
const withExtensions = (extensions: Extensions): Odd => ({ extensions })

describe.each(['ES256', 'Ed25519'] as const)('a valid path of %s', async (alg) => {
  const own = await makeWorld(alg)

  it('gives what later steps need', async () => {
    const entries = [entry(0x7777)]
    const caCrl = { entries, extensions: { number: crlNumber(42) } }
    const input = await own.make({ caCrl, ca: { notAfter: NOW + 5 } })
    const path = await validatePath(input)
    expect(path.leaf.der).toEqual(input.certificates[0])
    expect(path.uri).toBe(URI)
    expect(path.spki).toEqual(own.leaf.key.spki)
    expect([path.key.alg, path.key.spki]).toEqual([alg, own.leaf.key.spki])
    expect(path.fingerprint).toEqual(await certificateFingerprint(input.certificates[0]!))
    expect(path.notAfter).toBe(NOW + 5)
    const [first, second, ...others] = path.issuers
    expect([first?.crlNumber, second?.crlNumber, others.length]).toEqual([42, 1, 0])
    expect(first?.keyId).toEqual(await keyId(own.ca.key.spki))
    expect(second?.keyId).toEqual(await keyId(own.root.key.spki))
    expect(first?.crlHash).toEqual(await certificateFingerprint(input.crls[1] as Bytes))
  })

  it('stays valid with nothing changed and with none of its bytes changed', async () => {
    const input = await own.make()
    expect(await errorCode(() => validatePath(input))).toBe('ok')
    for (const [index, certificate] of input.certificates.entries()) {
      for (const bad of [
        ...truncations(certificate),
        ...flips(certificate, 0x01),
        ...flips(certificate, 0x80),
      ]) {
        const certificates = input.certificates.with(index, bad)
        expect(await errorCode(() => validatePath({ ...input, certificates }))).not.toBe('ok')
      }
    }
  })
})

it('the earliest end is also that of the anchor or the leaf', async () => {
  expect((await world.validate({ root: { notAfter: NOW + 3 } })).notAfter).toBe(NOW + 3)
  expect((await world.validate({ leaf: { notAfter: NOW + 4 } })).notAfter).toBe(NOW + 4)
})

describe('refuses', () => {
  it.each(refusedPaths(world))('%s: %s', async (_, code, difference) => {
    expect(await errorCode(() => world.validate(difference))).toBe(code)
  })

  it('[path-2] signatures of another key', async () => {
    const other = await generateSigningKey('ES256', false)
    for (const difference of [
      { leaf: { key: other } },
      { ca: { key: other } },
      { root: { spki: other.spki } },
    ]) {
      expect(await errorCode(() => world.validate(difference))).toBe('ERR_PATH_INVALID')
    }
  })

  it('[path-2] a signature under the name of another algorithm', async () => {
    const input = await world.make({ leaf: { innerAlgorithm: algorithmIdentifier('Ed25519') } })
    const { tbs } = readSigned(input.certificates[0]!)
    const bits = derBits(await signBytes(ca.key as SigningKey, tbs))
    const wrong = derSequence(tbs, algorithmIdentifier('Ed25519'), bits)
    const certificates = input.certificates.with(0, wrong)
    expect(await errorCode(() => validatePath({ ...input, certificates }))).toBe('ERR_PATH_INVALID')
  })

  it('[path-4] a leaf issued by a leaf', async () => {
    const evil = {
      ...world.leaf,
      name: name('evil'),
      key: await generateSigningKey('ES256', false),
    }
    const input = await world.make()
    const forged = await makeCertificate(evil, leaf, {
      ...world.extensions.leaf,
      aki: aki(leaf.id),
    })
    const certificates = [forged, ...input.certificates]
    expect(await errorCode(() => validatePath({ ...input, certificates }))).toBe('ERR_PATH_INVALID')
  })

  it('[path-4] a CA below one of path length 0', async () => {
    const sub = { ...ca, name: name('Sub CA') }
    const plain = { ...world.extensions.ca, basic: basic(true), nc: undefined }
    const make = async (pathLength?: number): Promise<PathInput> => {
      const { certificates, ...input } = await world.make({
        root: withExtensions({ basic: basic(true) }),
        ca: withExtensions({ basic: basic(true, pathLength) }),
        leaf: { issuer: sub.name },
      })
      const between = await makeCertificate(
        sub,
        ca,
        { ...plain, aki: aki(ca.id) },
        { serial: derInteger(9) },
      )
      const crls = [await makeCrl(root), await makeCrl(ca), await makeCrl(sub)]
      return { ...input, certificates: [certificates[0]!, between, certificates[1]!], crls }
    }
    expect(await errorCode(async () => validatePath(await make()))).toBe('ok')
    expect(await errorCode(async () => validatePath(await make(1)))).toBe('ok')
    expect(await errorCode(async () => validatePath(await make(0)))).toBe('ERR_PATH_INVALID')
  })

  it('[path-2] a certificate twice, the anchor in the path, an anchor as leaf', async () => {
    const free = { root: withExtensions({ basic: basic(true) }) }
    const input = await world.make(free)
    expect(await errorCode(() => validatePath(input))).toBe('ok')
    const withAnchor = [...input.certificates, ...input.anchors]
    expect(await errorCode(() => validatePath({ ...input, certificates: withAnchor }))).toBe(
      'ERR_PATH_INVALID',
    )
    const anchors = [...input.anchors, input.certificates[0]!]
    expect(await errorCode(() => validatePath({ ...input, anchors }))).toBe('ERR_PATH_INVALID')
    // The CA, self-issued and self-signed, twice in a row.
    const own = await makeCertificate(ca, ca, {
      ...world.extensions.ca,
      basic: basic(true),
      aki: aki(ca.id),
    })
    const pinned = await makeCertificate(ca, ca, { ...world.extensions.ca, basic: basic(true) })
    const base = { ...input, anchors: [pinned] }
    const once = [input.certificates[0]!, own]
    expect(await errorCode(() => validatePath({ ...base, certificates: once }))).toBe('ok')
    const twice = [...once, own]
    expect(await errorCode(() => validatePath({ ...base, certificates: twice }))).toBe(
      'ERR_PATH_INVALID',
    )
  })
})

describe('accepts', () => {
  it.each(acceptedPaths(world))('%s', async (_, difference) => {
    expect(await errorCode(() => world.validate(difference))).toBe('ok')
  })

  it('the right one of two anchors of one name', async () => {
    const { anchors, ...input } = await world.make()
    const bad = { ...root, key: await generateSigningKey('ES256', false) }
    const namesake = await makeCertificate(bad, bad, { ...world.extensions.root, ski: undefined })
    for (const list of [
      [namesake, ...anchors],
      [...anchors, namesake],
    ]) {
      expect(await errorCode(() => validatePath({ ...input, anchors: list }))).toBe('ok')
    }
  })

  it('a leaf right below the anchor', async () => {
    const { certificates, ...input } = await world.make()
    const anchors = [certificates[1]!]
    const path = await validatePath({ ...input, certificates: [certificates[0]!], anchors })
    expect(path.issuers).toHaveLength(1)
  })

  describe('a root that issued for itself under a new key', async () => {
    const key = await generateSigningKey('ES256', true)
    const renewed = { ...root, key, id: (await keyId(key.spki)).slice(0, 20) }
    const make = async (anchor: Extensions, own: Extensions, below: Extensions = {}) => {
      const input = await world.make({ root: withExtensions({ basic: basic(true), ...anchor }) })
      const between = await makeCertificate(renewed, root, {
        ...world.extensions.root,
        ski: ski(renewed.id),
        aki: aki(root.id),
        ...own,
      })
      const issued = { ...world.extensions.ca, aki: aki(renewed.id), ...below }
      return {
        ...input,
        certificates: [input.certificates[0]!, await makeCertificate(ca, renewed, issued), between],
        crls: [...(input.crls as Bytes[]), await makeCrl(renewed)],
      }
    }

    it('does not count for path lengths', async () => {
      expect(
        await errorCode(async () => validatePath(await make({ basic: basic(true, 1) }, {}))),
      ).toBe('ok')
      const tight = { basic: basic(true, 0) }
      expect(await errorCode(async () => validatePath(await make(tight, {})))).toBe(
        'ERR_PATH_INVALID',
      )
      expect(await errorCode(async () => validatePath(await make({}, tight)))).toBe(
        'ERR_PATH_INVALID',
      )
    })

    it('is not held to the constraints above it, but what it issues is', async () => {
      const nc = nameConstraints([uriName('.acme.example')], [])
      const elsewhere = san([uriName('keyferry://ca.other.example/')])
      expect(
        await errorCode(async () => validatePath(await make({ nc }, { san: elsewhere }))),
      ).toBe('ok')
      expect(
        await errorCode(async () => validatePath(await make({ nc }, {}, { san: elsewhere }))),
      ).toBe('ERR_PATH_INVALID')
    })

    it('[path-7] a leaf under its own name is held to the constraints', async () => {
      const outside = san([uriName('keyferry://client.other.example/x')])
      const leafOfCa = { subject: ca.name, extensions: { san: outside } }
      expect(await errorCode(() => world.validate({ leaf: leafOfCa }))).toBe('ERR_PATH_INVALID')
    })
  })

  it('the highest of several usable lists, whatever stands beside it', async () => {
    const numbered = (number: number, entries: Bytes[] = []): Promise<Bytes> =>
      makeCrl(ca, {
        extensions: { number: crlNumber(number) },
        ...(entries.length > 0 ? { entries } : {}),
      })
    const rootCrl = await makeCrl(root)
    const forged = await makeCrl(ca, { extensions: { number: crlNumber(99) }, key: root.key })
    const serial = parseCertificate((await world.make()).certificates[0]!).serial
    const lists = [await numbered(3), await numbered(5), await numbered(4), forged, rootCrl]
    for (const crls of [lists, lists.toReversed()]) {
      expect((await world.validate({ crls })).issuers[0]?.crlNumber).toBe(5)
    }
    const same = [await numbered(5, [entry(1)]), await numbered(5), rootCrl]
    const path = await world.validate({ crls: same })
    expect(path.issuers[0]?.crlHash).toEqual(await certificateFingerprint(same[0]!))
    const revoking = [await numbered(3), await numbered(6, [entry(serial)]), rootCrl]
    expect(await errorCode(() => world.validate({ crls: revoking }))).toBe('ERR_CERT_REVOKED')
  })

  it('lists that are parsed already', async () => {
    const input = await world.make()
    const crls = (input.crls as Bytes[]).map((bytes) => parseCrl(bytes))
    expect((await validatePath({ ...input, crls })).issuers).toHaveLength(2)
  })

  it('no lists, only when told so by its name', async () => {
    const path = await world.validate({ crls: 'unsafe-without-revocation' })
    expect(path.issuers).toEqual([])
  })
})

it('arbitrary bytes give a KeyferryError', async () => {
  const input = await world.make()
  const noise = fc.uint8Array({ maxLength: 100 }).map((array) => Uint8Array.from(array))
  await fc.assert(
    fc.asyncProperty(
      noise,
      fc.constantFrom('leaf', 'ca', 'anchor', 'crl'),
      async (bytes, where) => {
        const bad = {
          leaf: { certificates: [bytes, input.certificates[1]!] },
          ca: { certificates: [input.certificates[0]!, bytes] },
          anchor: { anchors: [bytes] },
          crl: { crls: [bytes] },
        }[where]
        expect(await errorCode(() => validatePath({ ...input, ...bad }))).not.toBe('ok')
      },
    ),
  )
})
