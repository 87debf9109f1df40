// Keys that come from elsewhere, and keys that go elsewhere: unwrapped again with OpenSSL and, where it is installed, in SoftHSM2.
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportVersion } from '../../deriver/export-key.ts'
import {
  cancelImport,
  importKey,
  type ImportOptions,
  type ImportOutcome,
} from '../../deriver/import-key.ts'
import { rotateKeyring, type VersionRow } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { openToken } from '../../deriver/pkcs11.ts'
import { P11, type Handle } from '../../deriver/pkcs11-module.ts'
import { parsePlace, type Pkcs11Place } from '../../deriver/place.ts'
import { publish } from '../../deriver/publish.ts'
import { openImport } from '../../deriver/imported.ts'
import { versionSecret } from '../../deriver/version-secrets.ts'
import { holdRoots, memoryKey, type MacKey } from '../../deriver/root.ts'
import { wrapFor, type Target, type WrapRequest } from '../../deriver/wrap-for.ts'
import { fromBase32, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { verifyExport } from '../../shared/export.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { sha256 } from '../../shared/hash.ts'
import { codeOf, notes, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { hsmAbsent, makeSoftHsm, type SoftHsm } from '../lib/softhsm.ts'

let directory: string
const rsa: Record<number, { publicKey: KeyObject; privateKey: KeyObject }> = {}
const secret = new Uint8Array(randomBytes(32))

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-byok-'))
  for (const modulusLength of [2048, 3072, 4096])
    rsa[modulusLength] = generateKeyPairSync('rsa', { modulusLength })
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

const pem = (bits: number): Bytes =>
  utf8(rsa[bits]!.publicKey.export({ format: 'pem', type: 'spki' }).toString())
const KID = 'https://acme.vault.azure.net/keys/kek/0123'

/** What the OpenSSL program does with a file. */
function openssl(input: Uint8Array, ...args: string[]): Buffer {
  const file = join(directory, 'in')
  writeFileSync(file, input)
  return execFileSync('openssl', [...args, '-in', file])
}

function decryptOaep(bits: number, hash: string, input: Uint8Array): Buffer {
  const key = join(directory, 'key.pem')
  writeFileSync(key, rsa[bits]!.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const options = ['rsa_padding_mode:oaep', `rsa_oaep_md:${hash}`, `rsa_mgf1_md:${hash}`]
  const args = options.flatMap((option) => ['-pkeyopt', option])
  return openssl(input, 'pkeyutl', '-decrypt', '-inkey', key, ...args)
}

/** RFC 5649 by the program. */
function unwrapAes(key: Uint8Array, input: Uint8Array): Buffer {
  return openssl(
    input,
    'enc',
    '-d',
    '-id-aes256-wrap-pad',
    '-K',
    hex(new Uint8Array(key)),
    '-iv',
    'a65959a6',
  )
}

function unwrapBoth(bits: number, hash: string, input: Uint8Array): Buffer {
  return unwrapAes(decryptOaep(bits, hash, input.subarray(0, bits / 8)), input.subarray(bits / 8))
}

const wrap = (target: Target, method: string, bits: number, wrapped = secret) =>
  wrapFor({ target, method, wrappingKey: pem(bits), kid: KID }, wrapped)

describe('wrapping, unwrapped by OpenSSL', () => {
  it.each([
    ['aws-kms', 'RSAES_OAEP_SHA_256', 2048],
    ['aws-kms', 'RSAES_OAEP_SHA_256', 3072],
    ['aws-kms', 'RSAES_OAEP_SHA_256', 4096],
    ['gcp-kms', 'rsa-oaep-4096-sha256', 4096],
    ['gcp-kms', 'rsa-oaep-3072-sha256', 3072],
  ] as const)('%s, %s, RSA-%i', (target, method, bits) => {
    const { bytes, fingerprint } = wrap(target, method, bits)
    expect(bytes.length).toBe(bits / 8)
    expect(hex(new Uint8Array(decryptOaep(bits, 'sha256', bytes)))).toBe(hex(secret))
    const spki = rsa[bits]!.publicKey.export({ format: 'der', type: 'spki' })
    expect(fingerprint).toBe(hex(sha256(new Uint8Array(spki))))
  })

  it.each([
    ['aws-kms', 'RSA_AES_KEY_WRAP_SHA_256', 2048, 'sha256'],
    ['gcp-kms', 'rsa-oaep-4096-sha256-aes-256', 4096, 'sha256'],
    ['gcp-kms', 'rsa-oaep-3072-sha256-aes-256', 3072, 'sha256'],
    ['pkcs11', 'CKM_RSA_AES_KEY_WRAP', 2048, 'sha256'],
    ['pkcs11', 'CKM_RSA_AES_KEY_WRAP-SHA-1', 2048, 'sha1'],
  ] as const)('%s, %s, RSA-%i', (target, method, bits, hash) => {
    for (const size of [16, 32, 333]) {
      const key = new Uint8Array(randomBytes(size))
      expect(
        hex(new Uint8Array(unwrapBoth(bits, hash, wrap(target, method, bits, key).bytes))),
      ).toBe(hex(key))
    }
  })

  it('Azure: a key transfer blob, SHA-1 as their specification says', () => {
    const { bytes, ending } = wrap('azure-keyvault', 'CKM_RSA_AES_KEY_WRAP', 4096)
    const blob = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    expect(blob).toEqual({
      schema_version: '1.0.0',
      header: { kid: KID, alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
      ciphertext: expect.stringMatching(/^[\w-]+$/) as unknown,
      generator: 'Keyferry',
    })
    const ciphertext = Buffer.from(blob['ciphertext'] as string, 'base64url')
    expect(hex(new Uint8Array(unwrapBoth(4096, 'sha1', ciphertext)))).toBe(hex(secret))
    expect(ending).toBe('byok')
  })

  it('PKCS#11: an AES key that both sides have', () => {
    const wrappingKey = new Uint8Array(randomBytes(32))
    const { bytes } = wrapFor(
      { target: 'pkcs11', method: 'CKM_AES_KEY_WRAP_KWP', wrappingKey },
      secret,
    )
    expect(hex(new Uint8Array(unwrapAes(wrappingKey, bytes)))).toBe(hex(secret))
  })

  const good: WrapRequest = {
    target: 'aws-kms',
    method: 'RSAES_OAEP_SHA_256',
    wrappingKey: new Uint8Array(),
  }
  it.each<[string, () => WrapRequest]>([
    ['no key', () => good],
    [
      'an elliptic-curve key',
      () => ({
        ...good,
        wrappingKey: new Uint8Array(
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
            format: 'der',
            type: 'spki',
          }),
        ),
      }),
    ],
    [
      'a small RSA key',
      () => ({
        ...good,
        wrappingKey: new Uint8Array(
          generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
            format: 'der',
            type: 'spki',
          }),
        ),
      }),
    ],
    [
      'a private key',
      () => ({
        ...good,
        wrappingKey: utf8(
          rsa[2048]!.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
        ),
      }),
    ],
    [
      'the method of another target',
      () => ({ ...good, wrappingKey: pem(2048), method: 'rsa-oaep-4096-sha256' }),
    ],
    [
      'a key of another size than the import job',
      () => ({ target: 'gcp-kms', wrappingKey: pem(2048), method: 'rsa-oaep-4096-sha256' }),
    ],
    [
      'Azure without the key exchange key',
      () => ({ target: 'azure-keyvault', wrappingKey: pem(2048), method: 'CKM_RSA_AES_KEY_WRAP' }),
    ],
    [
      'an AES key of 128 bits',
      () => ({ target: 'pkcs11', wrappingKey: new Uint8Array(16), method: 'CKM_AES_KEY_WRAP_KWP' }),
    ],
  ])('%s is ERR_USAGE', async (_, request) => {
    await expectCode(() => wrapFor(request(), secret), 'ERR_USAGE')
  })

  it('what RSA alone cannot hold is ERR_TOO_LARGE', async () => {
    await expectCode(
      () => wrap('aws-kms', 'RSAES_OAEP_SHA_256', 2048, new Uint8Array(500)),
      'ERR_TOO_LARGE',
    )
  })
})

describe.skipIf(hsmAbsent !== null)('wrapping, unwrapped in SoftHSM2', () => {
  let hsm: SoftHsm
  beforeAll(() => {
    hsm = makeSoftHsm()
  })
  afterAll(() => {
    hsm.remove()
  })

  const aes = [
    { type: P11.CKA_CLASS, value: P11.CKO_SECRET_KEY },
    { type: P11.CKA_KEY_TYPE, value: P11.CKK_AES },
    { type: P11.CKA_TOKEN, value: false },
    { type: P11.CKA_UNWRAP, value: true },
    { type: P11.CKA_DECRYPT, value: true },
  ]
  const readable = [
    { type: P11.CKA_SENSITIVE, value: false },
    { type: P11.CKA_EXTRACTABLE, value: true },
  ]
  const kwp = { mechanism: 0x210a }

  // It has CKM_RSA_PKCS_OAEP with SHA-1 only, and not CKM_RSA_AES_KEY_WRAP in one call: the two that it is made of, then.
  it('C_UnwrapKey opens CKM_RSA_AES_KEY_WRAP with SHA-1, of us and of Azure', async () => {
    const token = await openToken(parsePlace(hsm.place('x')) as Pkcs11Place, hsm.directory)
    await token.use(({ module, session }) => {
      const bits = 2048
      const pair = module.C_GenerateKeyPair(
        session,
        { mechanism: 0 },
        [
          { type: P11.CKA_MODULUS_BITS, value: bits },
          { type: P11.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
          { type: P11.CKA_WRAP, value: true },
        ],
        [
          { type: P11.CKA_UNWRAP, value: true },
          { type: P11.CKA_SENSITIVE, value: true },
        ],
      )
      const [n, e] = module.C_GetAttributeValue(session, pair.publicKey, [
        { type: 0x120 },
        { type: P11.CKA_PUBLIC_EXPONENT },
      ])
      const jwk = {
        kty: 'RSA',
        n: n!.value.toString('base64url'),
        e: e!.value.toString('base64url'),
      }
      const wrappingKey = new Uint8Array(spkiOf(jwk))
      const oaep = { mechanism: 9, parameter: { type: 4, hashAlg: 0x220, mgf: 1, source: 1 } }
      const open = (bytes: Uint8Array): string => {
        const wrapped = Buffer.from(bytes)
        const inner: Handle = module.C_UnwrapKey(
          session,
          oaep,
          pair.privateKey,
          wrapped.subarray(0, bits / 8),
          aes,
        )
        const key = module.C_UnwrapKey(session, kwp, inner, wrapped.subarray(bits / 8), [
          ...aes,
          ...readable,
        ])
        return module
          .C_GetAttributeValue(session, key, [{ type: P11.CKA_VALUE }])[0]!
          .value.toString('hex')
      }
      const ours = wrapFor(
        { target: 'pkcs11', method: 'CKM_RSA_AES_KEY_WRAP-SHA-1', wrappingKey },
        secret,
      )
      expect(open(ours.bytes)).toBe(hex(secret))
      const azure = wrapFor(
        { target: 'azure-keyvault', method: 'CKM_RSA_AES_KEY_WRAP', wrappingKey, kid: KID },
        secret,
      )
      const { ciphertext } = JSON.parse(Buffer.from(azure.bytes).toString()) as {
        ciphertext: string
      }
      expect(open(Buffer.from(ciphertext, 'base64url'))).toBe(hex(secret))
    })
  })

  it('C_UnwrapKey opens CKM_AES_KEY_WRAP_KWP', async () => {
    const token = await openToken(parsePlace(hsm.place('x')) as Pkcs11Place, hsm.directory)
    const wrappingKey = new Uint8Array(randomBytes(32))
    const { bytes } = wrapFor(
      { target: 'pkcs11', method: 'CKM_AES_KEY_WRAP_KWP', wrappingKey },
      secret,
    )
    const value = await token.use(({ module, session }) => {
      const create = module as unknown as {
        C_CreateObject(session: Buffer, template: object[]): Handle
      }
      const own = create.C_CreateObject(session, [
        ...aes,
        { type: P11.CKA_VALUE, value: Buffer.from(wrappingKey) },
      ])
      const key = module.C_UnwrapKey(session, kwp, own, Buffer.from(bytes), [...aes, ...readable])
      return module
        .C_GetAttributeValue(session, key, [{ type: P11.CKA_VALUE }])[0]!
        .value.toString('hex')
    })
    expect(value).toBe(hex(secret))
  })
})

/** SubjectPublicKeyInfo of a JWK, by the platform. */
function spkiOf(jwk: { kty: string; n: string; e: string }): Buffer {
  const file = join(directory, 'jwk.pem')
  const code = `const { createPublicKey } = await import('node:crypto'); process.stdout.write(createPublicKey({ key: ${JSON.stringify(jwk)}, format: 'jwk' }).export({ format: 'der', type: 'spki' }))`
  writeFileSync(file, execFileSync(process.execPath, ['--input-type=module', '-e', code]))
  return readFileSync(file)
}

describe('of a tenant', () => {
  useTenant()

  const exporting = () => {
    const { store, keys, trust } = tenant
    return { store, root: keys.root, authority: keys.authority, trust }
  }
  const request = (bits = 2048): WrapRequest => ({
    target: 'aws-kms',
    method: 'RSAES_OAEP_SHA_256',
    wrappingKey: pem(bits),
  })
  const leaves = (): string[] =>
    tenant.store
      .all<{ leaf: Bytes }>('SELECT leaf FROM log ORDER BY seq')
      .map(({ leaf }) => new TextDecoder().decode(leaf))
  const publishNow = () =>
    publish(tenant.store, tenant.keys, tenant.trust, emptyLog(), tenant.clock.now, 3_600)
  const version = (keyring: Bytes, number = 1) =>
    tenant.store.get<VersionRow>(
      'SELECT * FROM versions WHERE keyring = ? AND version = ?',
      keyring,
      number,
    )!
  const names = (keyring: Bytes) => ({ tenant: fromBase32(tenant.trust.tenant), keyring })

  it('[export-1] one record, signed by the authority, names every place by the key id, and the log has it first', async () => {
    const azure: WrapRequest = {
      target: 'azure-keyvault',
      method: 'CKM_RSA_AES_KEY_WRAP',
      wrappingKey: pem(3072),
      kid: KID,
    }
    const made = await exportVersion(
      exporting(),
      { name: 'notes', version: 1 },
      [request(), azure],
      tenant.clock.now,
    )
    const expected = versionSecret(tenant.keys.root, names(notes), version(notes))
    expect(hex(new Uint8Array(decryptOaep(2048, 'sha256', made.wrapped[0]!.bytes)))).toBe(
      hex(expected),
    )
    const { body } = await verifyExport(made.record, tenant.trust)
    expect(hex(body.keyId)).toBe(hex(made.keyId))
    expect(body.targets.map(({ target }) => target)).toEqual(['aws-kms', 'azure-keyvault'])
    await publishNow()
    expect(hex(version(notes).key_id!)).toBe(hex(made.keyId))
    const leaf = leaves().find((one) => one.includes('version-exported'))!
    expect(leaf).toContain(body.targets[0]!.wrappingKey)
    expect(leaf).not.toContain(Buffer.from(expected).toString('base64url'))
    const other = {
      ...tenant.trust,
      body: {
        ...tenant.trust.body,
        authority: { keys: [tenant.keys.signer.key.spki], threshold: 1 },
      },
    }
    expect(await codeOf(verifyExport(made.record, other))).toBe('ERR_SIGNATURE')
  })

  it.each([
    ['a keyring that is not there', { name: 'none', version: 1 }, 'ERR_NOT_FOUND'],
    ['a version that is not there', { name: 'notes', version: 9 }, 'ERR_KEY_VERSION'],
  ])('%s: nothing is logged', async (_, which, code) => {
    expect(await codeOf(exportVersion(exporting(), which, [request()], tenant.clock.now))).toBe(
      code,
    )
    expect(leaves().some((one) => one.includes('version-exported'))).toBe(false)
  })

  it('an authority that is elsewhere, a bad wrapping key and an erasable keyring are refused, and nothing is logged', async () => {
    const of = (change: object, requests = [request()]) =>
      codeOf(
        exportVersion(
          { ...exporting(), ...change },
          { name: 'notes', version: 1 },
          requests,
          tenant.clock.now,
        ),
      )
    expect(await of({ authority: [] })).toBe('ERR_SIGNATURE')
    expect(await of({}, [request(), { ...request(), wrappingKey: new Uint8Array(3) }])).toBe(
      'ERR_USAGE',
    )
    await publishNow()
    tenant.store.run('UPDATE versions SET key_id = zeroblob(32)')
    expect(await of({})).toBe('ERR_COMMITMENT')
    tenant.store.run("UPDATE keyrings SET kind = 'erasable'")
    expect(await of({})).toBe('ERR_UNSUPPORTED')
    expect(leaves().some((one) => one.includes('version-exported'))).toBe(false)
  })

  describe('import', () => {
    const bytes = utf8('not a very good key')
    const settings = { name: 'archive', rules: ['keyferry://client.acme.example/*'] }
    const bring = (
      by: string,
      change: Partial<ImportOptions> = {},
      time = 0,
    ): Promise<ImportOutcome> => {
      const deriving = { root: tenant.keys.root, tenant: tenant.trust.tenant }
      return importKey(
        tenant.store,
        deriving,
        { ...settings, bytes, by, ...change },
        tenant.clock.now + time,
      )
    }
    const keyring = () =>
      new Uint8Array(
        tenant.store.get<{ id: Bytes }>("SELECT id FROM keyrings WHERE name = 'archive'")!.id,
      )
    const imported = (number: number): string => {
      const row = version(keyring(), number)
      const own = versionSecret(tenant.keys.root, names(keyring()), row)
      return new TextDecoder().decode(
        openImport(own, new Uint8Array(row.sealed!), names(keyring()), new Uint8Array(row.key_id!)),
      )
    }

    it('two people bring a key in, and it travels sealed under a derived secret', async () => {
      expect(await bring('alice')).toMatchObject({ state: 'waiting' })
      expect(tenant.store.get("SELECT 1 FROM keyrings WHERE name = 'archive'")).toBe(undefined)
      expect(await bring('bob')).toMatchObject({
        state: 'imported',
        version: 1,
        by: ['alice', 'bob'],
      })
      await publishNow()
      const object = (hash: Bytes) =>
        new Uint8Array(
          tenant.store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', hash)!.body,
        )
      const row = tenant.store.get<{ manifest: Bytes; bundle: Bytes }>(
        "SELECT * FROM keyrings WHERE name = 'archive'",
      )!
      const manifest = decodeManifest(object(row.manifest))
      const bundle = decodeBundle(object(row.bundle))
      expect(manifest.kind).toBe('imported')
      expect(hex(sha256(bundle.entries[0]!.sealed!))).toBe(hex(manifest.versions[0]!.importHash!))
      expect(imported(1)).toBe('not a very good key')
      for (const one of [...leaves().map(utf8), object(row.manifest), object(row.bundle)])
        expect(Buffer.from(one).includes(Buffer.from(bytes))).toBe(false)
      expect(leaves().join()).not.toContain(Buffer.from(sha256(bytes)).toString('base64url'))
    })

    it('one person twice, other bytes, other settings, and a proposal of yesterday do not', async () => {
      await bring('alice')
      expect(await codeOf(bring('alice'))).toBe('ERR_CONFLICT')
      expect(await codeOf(bring('bob', { bytes: utf8('not a very good one') }))).toBe(
        'ERR_COMMITMENT',
      )
      expect(await codeOf(bring('bob', { rules: ['keyferry://client.acme.example/a/*'] }))).toBe(
        'ERR_COMMITMENT',
      )
      expect(await codeOf(bring('bob', { offline: 1 }))).toBe('ERR_COMMITMENT')
      expect(await bring('bob', {}, 86_401)).toMatchObject({ state: 'waiting' })
      cancelImport(tenant.store, 'archive')
      await expectCode(() => cancelImport(tenant.store, 'archive'), 'ERR_NOT_FOUND')
      expect(await bring('carol')).toMatchObject({ state: 'waiting' })
    })

    it.each([
      ['15 bytes', { bytes: new Uint8Array(15) }, 'ERR_USAGE'],
      ['513 bytes', { bytes: new Uint8Array(513) }, 'ERR_USAGE'],
      ['nobody', { by: '' }, 'ERR_USAGE'],
      ['a keyring of another kind', { name: 'notes' }, 'ERR_KEYRING'],
    ])('%s', async (_, change, code) => {
      expect(await codeOf(bring('alice', change))).toBe(code)
    })

    it('carrying many imports on at once under a root that has to be asked ends', async () => {
      const inner = memoryKey(new Uint8Array(32).fill(5))
      const key: MacKey = { mac: (input) => inner.mac(input) }
      const restart = (): void => void (tenant.keys.root = holdRoots(new Map([[1, key]])))
      restart()
      const many = Array.from({ length: 20 }, (_, i) => `archive-${i}`)
      for (const name of many) for (const by of ['alice', 'bob']) await bring(by, { name })
      await publishNow()
      restart()
      for (const name of many) rotateKeyring(tenant.store, name, tenant.clock.now)
      await publishNow()
      const sealed = tenant.store.all(
        'SELECT 1 FROM versions WHERE version = 2 AND sealed IS NOT NULL',
      )
      expect(sealed).toHaveLength(many.length)
    })

    it('a rotation carries the bytes on under a new secret, and a further import replaces them', async () => {
      await bring('alice')
      await bring('bob')
      await publishNow()
      rotateKeyring(tenant.store, 'archive', tenant.clock.now)
      await publishNow()
      expect([imported(1), imported(2)]).toEqual(['not a very good key', 'not a very good key'])
      expect(hex(version(keyring(), 2).sealed!)).not.toBe(hex(version(keyring(), 1).sealed!))
      const second = { bytes: utf8('a second key of ours') }
      await bring('alice', second)
      await bring('bob', second)
      await publishNow()
      expect([imported(2), imported(3)]).toEqual(['not a very good key', 'a second key of ours'])
      const made = await exportVersion(
        exporting(),
        { name: 'archive', version: 3 },
        [request()],
        tenant.clock.now,
      )
      expect(decryptOaep(2048, 'sha256', made.wrapped[0]!.bytes).toString()).toBe(
        'a second key of ours',
      )
    })
  })
})
