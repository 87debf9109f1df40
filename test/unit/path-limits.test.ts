// What one validation of a path may cost at most: certificates, signatures, comparisons of names.
import { describe, expect, it } from 'vitest'
import { fromHex } from '../../shared/bytes.ts'
import { validatePath } from '../../shared/path.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import {
  errorCode,
  type Extensions,
  makeCertificate,
  makeCrl,
  makeWorld,
  nameConstraints,
  type Odd,
  san,
  uriName,
} from '../lib/odd-certificates.ts'

const world = await makeWorld('ES256')
const { root, ca } = world
const withExtensions = (extensions: Extensions): Odd => ({ extensions })

describe('refuses', () => {
  it('[path-2] more certificates than four, before parsing any', async () => {
    const count = (length: number, maxIntermediates?: number): Promise<string> => {
      const certificates = Array.from({ length }, () => fromHex('00'))
      const limit = maxIntermediates === undefined ? {} : { maxIntermediates }
      return errorCode(() => world.validate({ input: { certificates, ...limit } }))
    }
    expect(await count(4)).toBe('ERR_MALFORMED')
    expect(await count(5)).toBe('ERR_PATH_INVALID')
    expect(await count(1, 0)).toBe('ERR_MALFORMED')
    expect(await count(2, 0)).toBe('ERR_PATH_INVALID')
    expect(await count(9, 100)).toBe('ERR_MALFORMED')
    expect(await count(10, 100)).toBe('ERR_PATH_INVALID')
    expect(await count(1, Number.NaN)).toBe('ERR_PATH_INVALID')
  })

  it('[path-8] more signatures than 64', async () => {
    const other = await generateSigningKey('ES256', false)
    const bad = await makeCrl(ca, { key: other })
    const rootCrl = await makeCrl(root)
    const validate = async (count: number): Promise<string> => {
      const crls = [rootCrl, ...Array.from({ length: count }, () => bad), await makeCrl(ca)]
      return errorCode(() => world.validate({ crls }))
    }
    // Two certificates, one list each, and the bad ones.
    expect(await validate(60)).toBe('ok')
    expect(await validate(61)).toBe('ERR_PATH_INVALID')
  })

  it('[path-2] more signatures than 64 of anchors of one name', async () => {
    const { anchors, ...input } = await world.make()
    const other = await generateSigningKey('ES256', false)
    const bad = { ...root, key: other }
    const namesake = await makeCertificate(bad, bad, { ...world.extensions.root, ski: undefined })
    const validate = (count: number): Promise<string> => {
      const list = [...Array.from({ length: count }, () => namesake), ...anchors]
      return errorCode(() => validatePath({ ...input, anchors: list }))
    }
    expect(await validate(1)).toBe('ok')
    expect(await validate(63)).toBe('ERR_PATH_INVALID')
  })

  it('[path-7] more than 4,096 name comparisons', async () => {
    const validate = (count: number): Promise<string> => {
      const excluded = Array.from({ length: count }, () => uriName('x'))
      const uris = ['a', 'b', 'c'].map((host) => uriName(`keyferry://${host}.acme.example`))
      return errorCode(() =>
        world.validate({
          root: withExtensions({ nc: nameConstraints([], excluded) }),
          ca: withExtensions({ nc: undefined, san: san(uris) }),
        }),
      )
    }
    expect(await validate(1024)).toBe('ok')
    expect(await validate(1025)).toBe('ERR_PATH_INVALID')
  })
})
