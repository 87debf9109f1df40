// Paths of CAs that openssl made, and what openssl says of them.
import { afterAll, describe, expect, it } from 'vitest'
import { type PathInput, validatePath } from '../../shared/path.ts'
import { CLIENT_AUTH, DAY, errorCode } from '../lib/odd-certificates.ts'
import { makeOpensslCa } from '../lib/openssl-ca.ts'

describe.each(['p256', 'ed25519', 'p384', 'rsa'] as const)(
  'a CA of openssl, %s',
  async (algorithm) => {
    const openssl = await makeOpensslCa(algorithm)
    afterAll(openssl.remove)
    const check = async (leafName: string, more: Partial<PathInput> = {}): Promise<string> => {
      const { certificates } = await openssl.leaf(leafName)
      const now = Date.now() / 1000
      const input = {
        certificates,
        anchors: [openssl.root],
        now,
        eku: [CLIENT_AUTH],
        crls: openssl.crls,
      }
      return errorCode(() => validatePath({ ...input, ...more }))
    }

    it.each([
      ['deriver-1', 'ok'],
      ['alice', 'ok'],
      ['bob', 'ok'],
      ['mallory', 'ERR_CERT_REVOKED'],
      ['eve', 'ERR_CERT_EXPIRED'],
    ])('%s: %s, as openssl says', async (leafName, code) => {
      expect(await check(leafName)).toBe(code)
      const { certificates } = await openssl.leaf(leafName)
      const verdict = await openssl.verify(certificates, openssl.root, openssl.crls)
      expect(verdict.includes(': OK')).toBe(code === 'ok')
    })

    it('needs each list', async () => {
      for (const crls of [[], openssl.crls.slice(0, 1), openssl.crls.slice(1)]) {
        expect(await check('alice', { crls })).toBe('ERR_CRL')
      }
      expect(await check('alice', { now: Date.now() / 1000 + 8 * DAY })).toBe('ERR_CRL')
    })

    it('does without the root when the issuing CA is pinned', async () => {
      const { certificates } = await openssl.leaf('alice')
      const pinned = { certificates: certificates.slice(0, 1), anchors: [openssl.issuing] }
      expect(await check('alice', pinned)).toBe('ok')
      expect(await check('alice', { anchors: [openssl.issuing] })).toBe('ERR_PATH_INVALID')
    })
  },
)
