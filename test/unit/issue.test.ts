import { afterAll, describe, expect, it } from 'vitest'
import { issueCrl, issueLeaf, type Issuer, makeIssuingCa, makeRootCa } from '../../shared/issue.ts'
import { type Bytes, equal, fromHex } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { createCsr, parseCsr } from '../../shared/csr.ts'
import { validatePath } from '../../shared/path.ts'
import { generateSigningKey, type SigningKey } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { CLIENT_AUTH, DAY, errorCode, makeCertificate, makeWorld } from '../lib/odd-certificates.ts'
import { makeOpensslCa } from '../lib/openssl-ca.ts'

const openssl = await makeOpensslCa('p256')
afterAll(openssl.remove)
// openssl verifies at the time of the machine.
const now = Math.floor(Date.now() / 1000)
const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))
const validity = { notBefore: now - 60, notAfter: now + DAY, random }
const uri = 'keyferry://client.acme.example/alice'

describe.each(['Ed25519', 'ES256'] as const)('the built-in CA, %s', async (alg) => {
  const key = await generateSigningKey(alg, false)
  const caOptions = {
    key,
    commonName: 'Keyferry CA',
    organization: 'Acme & Söhne',
    host: '.acme.example',
    eku: [CLIENT_AUTH],
    ...validity,
  }
  const certificate = await makeIssuingCa(caOptions)
  const issuer: Issuer = { key, certificate }
  const { spki } = await generateSigningKey(alg, false)
  const leafOptions = { issuer, spki, commonName: 'alice', uri, eku: [CLIENT_AUTH], ...validity }
  const leaf = await issueLeaf(leafOptions)
  const { serial } = parseCertificate(leaf)
  const crlOptions = { issuer, number: 1, thisUpdate: now - 60, nextUpdate: now + DAY, revoked: [] }
  const crl = await issueCrl(crlOptions)

  const check = (certificates: Bytes[], crls: Bytes[]): Promise<string> => {
    const input = { certificates, anchors: [certificate], now, eku: [CLIENT_AUTH], crls }
    return errorCode(() => validatePath(input))
  }

  it('issues what Keyferry and openssl accept', async () => {
    expect(await check([leaf], [crl])).toBe('ok')
    expect(await openssl.verify([leaf], certificate, [crl])).toContain(': OK')
  })

  it('revokes so that Keyferry and openssl refuse', async () => {
    const entry = { serial, date: now - 30 }
    for (const revoked of [
      [entry],
      [
        { serial: fromHex('ff'), date: now },
        { ...entry, reason: 'keyCompromise' as const },
      ],
    ]) {
      const list = await issueCrl({ ...crlOptions, number: 2, revoked })
      expect(parseCrl(list).number).toBe(2)
      expect(await check([leaf], [list])).toBe('ERR_CERT_REVOKED')
      expect(await openssl.verify([leaf], certificate, [list])).toContain('certificate revoked')
    }
  })

  it('is bound to its hosts and its use, and to leaves', async () => {
    const evil = await issueLeaf({ ...leafOptions, uri: 'keyferry://client.evil.example/alice' })
    expect(await check([evil], [crl])).toBe('ERR_PATH_INVALID')
    expect(await openssl.verify([evil], certificate, [crl])).toContain(
      'permitted subtree violation',
    )
    const read = parseCertificate(certificate)
    expect([read.isCa, read.pathLength, read.ekus]).toEqual([true, 0, [CLIENT_AUTH]])
    expect(read.nameConstraints?.permitted.map(({ text }) => text)).toEqual(['.acme.example'])
    expect(read.critical).toEqual(['2.5.29.19', '2.5.29.15', '2.5.29.30'])
    const last = parseCertificate(leaf)
    expect(last.critical).toEqual(['2.5.29.19', '2.5.29.15'])
    expect([last.notBefore, last.notAfter]).toEqual([validity.notBefore, validity.notAfter])
  })

  it('a root signs issuing CAs: each is an anchor by itself, and openssl follows it to the root', async () => {
    const rootKey = await generateSigningKey(alg, false)
    const rootOptions = { ...caOptions, key: rootKey, commonName: 'Root' }
    const hosts = ['client.acme.example', 'deriver.acme.example']
    const root = await makeRootCa({ ...rootOptions, hosts })
    const above = { key: rootKey, certificate: root }
    const under = { ...caOptions, commonName: 'Clients', host: 'client.acme.example' }
    const clients = await makeIssuingCa({ ...under, issuer: above })
    const own = { ...leafOptions, issuer: { key, certificate: clients } }
    const alice = await issueLeaf(own)
    const list = await issueCrl({ ...crlOptions, issuer: { key, certificate: clients } })
    const rootList = await issueCrl({ ...crlOptions, issuer: above })

    const read = parseCertificate(clients)
    expect(equal(read.issuer, parseCertificate(root).subject)).toBe(true)
    expect(read.authorityKeyId).toEqual(parseCertificate(root).subjectKeyId)
    expect([read.isCa, read.pathLength, parseCertificate(root).pathLength]).toEqual([true, 0, 1])
    // The issuing CA as anchor: its own CRL is all that is asked for.
    const input = { now, eku: [CLIENT_AUTH] }
    const short = { ...input, certificates: [alice], anchors: [clients], crls: [list] }
    expect(await errorCode(() => validatePath(short))).toBe('ok')
    const long = { ...input, certificates: [alice, clients], anchors: [root] }
    expect(await errorCode(() => validatePath({ ...long, crls: [list, rootList] }))).toBe('ok')
    expect(await errorCode(() => validatePath({ ...long, crls: [list] }))).toBe('ERR_CRL')
    expect(await openssl.verify([alice, clients], root, [list, rootList])).toContain(': OK')

    const wider = await makeIssuingCa({ ...under, host: '.example', issuer: above })
    const evil = await issueLeaf({
      ...own,
      issuer: { key, certificate: wider },
      uri: 'keyferry://client.evil.example/alice',
    })
    const crls = [await issueCrl({ ...crlOptions, issuer: { key, certificate: wider } }), rootList]
    const beyond = { ...input, certificates: [evil, wider], anchors: [root], crls }
    expect(await errorCode(() => validatePath(beyond))).toBe('ERR_PATH_INVALID')
    expect(await openssl.verify([evil, wider], root, crls)).toContain('permitted subtree violation')
    // A path length of 1: no CA below the issuing CA.
    const third = await makeIssuingCa({ ...caOptions, issuer: { key, certificate: clients } })
    const deep = await issueLeaf({ ...leafOptions, issuer: { key, certificate: third } })
    const chain = [deep, third, clients]
    const tooLong = { ...input, certificates: chain, anchors: [root], crls: [list, rootList] }
    expect(await errorCode(() => validatePath(tooLong))).toBe('ERR_PATH_INVALID')
    expect(
      await errorCode(() => makeIssuingCa({ ...under, issuer: { key, certificate: leaf } })),
    ).toBe('ERR_CERT_PROFILE')
    expect(await errorCode(() => makeRootCa({ ...rootOptions, hosts: ['acme.example/'] }))).toBe(
      'ERR_CERT_PROFILE',
    )
  })

  it('gives serials of 16 octets from 0x40 to 0x7f', async () => {
    for (const octet of [0x00, 0x7f, 0x80, 0xff]) {
      const constant = (length: number): Bytes => new Uint8Array(length).fill(octet)
      const read = parseCertificate(await issueLeaf({ ...leafOptions, random: constant }))
      const expected = new Uint8Array(16).fill(octet).fill((octet & 0x3f) | 0x40, 0, 1)
      expect(equal(read.serial, expected)).toBe(true)
    }
    const short = (): Bytes => new Uint8Array(8)
    await expect(issueLeaf({ ...leafOptions, random: short })).rejects.toThrow(RangeError)
  })

  it('refuses what could not be used', async () => {
    const code = (more: Partial<typeof leafOptions>): Promise<string> =>
      errorCode(() => issueLeaf({ ...leafOptions, ...more }))
    const weak = fromHex(`302a300506032b6570032100${'00'.repeat(32)}`)
    expect(await code({ uri: 'urn:alice' })).toBe('ERR_CERT_PROFILE')
    expect(await code({ spki: weak })).toBe('ERR_WEAK_KEY')
    expect(await code({ issuer: { key, certificate: leaf } })).toBe('ERR_CERT_PROFILE')
    const { ca, root, extensions } = await makeWorld(alg)
    const bare = await makeCertificate(ca, root, { ...extensions.ca, ski: undefined })
    const nameless = { key: ca.key as SigningKey, certificate: bare }
    expect(await code({ issuer: nameless })).toBe('ERR_CERT_PROFILE')
    const other = await generateSigningKey(alg, false)
    expect(await code({ issuer: { key: other, certificate } })).toBe('ERR_USAGE')
    expect(await errorCode(() => makeIssuingCa({ ...caOptions, host: 'acme.example/' }))).toBe(
      'ERR_CERT_PROFILE',
    )
    expect(await code({ notBefore: now, notAfter: now })).toBe('ok')
    const backwards = { notBefore: now, notAfter: now - 1 }
    await expect(issueLeaf({ ...leafOptions, ...backwards })).rejects.toThrow(RangeError)
    await expect(issueCrl({ ...crlOptions, nextUpdate: now - 60 })).rejects.toThrow(RangeError)
  })

  it('refuses a list that no reader would take', async () => {
    const revoked = Array.from({ length: 32_000 }, () => ({ serial, date: now }))
    expect(await errorCode(() => issueCrl({ ...crlOptions, revoked }))).toBe('ERR_TOO_LARGE')
  }, 20_000)

  it('openssl issues for a request that Keyferry made', async () => {
    const own = await generateSigningKey(alg, false)
    const csr = await createCsr(own, 'carol')
    expect((await parseCsr(csr)).commonName).toBe('carol')
    const certificates = await openssl.issueFor(csr, 'client', 'carol')
    const input = { certificates, anchors: [openssl.root], now: Date.now() / 1000 }
    const path = await validatePath({ ...input, eku: [CLIENT_AUTH], crls: openssl.crls })
    expect(path.uri).toBe('keyferry://client.acme.example/carol')
    expect(path.spki).toEqual(own.spki)
  })
})
