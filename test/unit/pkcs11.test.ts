// A root and signing keys in an HSM: SoftHSM2, where it is installed.
import { createHmac } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { notePath } from '../../deriver/pin-guard.ts'
import { makeToken, openToken } from '../../deriver/pkcs11.ts'
import {
  hasEd25519,
  makeMaster,
  makeSigningKey,
  pkcs11Key,
  pkcs11SigningKey,
} from '../../deriver/pkcs11-keys.ts'
import { explain, P11, type Module } from '../../deriver/pkcs11-module.ts'
import { parsePlace, type Pkcs11Place } from '../../deriver/place.ts'
import { fromHex, hex, utf8 } from '../../shared/bytes.ts'
import { importVerifyKey, signBytes, verifySignature } from '../../shared/signature.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import vectors from '../../docs/vectors/derivation.json' with { type: 'json' }
import { codeOf } from '../lib/deriver.ts'
import { hsmAbsent, makeSoftHsm, PIN, softHsmModule, TOKEN, type SoftHsm } from '../lib/softhsm.ts'

let hsm: SoftHsm
let directory: string
let count = 0
const at = (object: string, pinFile?: string): Pkcs11Place =>
  parsePlace(hsm.place(object, pinFile)) as Pkcs11Place
const fresh = (): Pkcs11Place => at(`key-${count++}`)

describe.skipIf(hsmAbsent !== null)('an HSM', () => {
  beforeAll(() => {
    hsm = makeSoftHsm()
  })
  beforeEach(() => {
    directory = mkdtempSync(join(hsm.directory, 'deriver-'))
    hsm.setPin(PIN)
  })
  afterAll(() => {
    hsm.remove()
  })

  it('makes a master secret that cannot be read, and that answers the same each time', async () => {
    const place = fresh()
    await makeMaster(place, directory)
    const key = await pkcs11Key(place, directory)
    expect('macNow' in key).toBe(false)
    const first = await key.mac(utf8('input'))
    expect(first.length).toBe(32)
    expect(hex(await key.mac(utf8('input')))).toBe(hex(first))
    expect(hex(await key.mac(utf8('other')))).not.toBe(hex(first))
    const token = await openToken(place, directory)
    const reading = token.use(({ module, session }) => {
      module.C_FindObjectsInit(session, [{ type: P11.CKA_LABEL, value: place.object }])
      const [handle] = module.C_FindObjects(session, 1)
      module.C_FindObjectsFinal(session)
      return module.C_GetAttributeValue(session, handle!, [{ type: P11.CKA_VALUE }])
    })
    await expect(reading).rejects.toThrow('CKR_ATTRIBUTE_SENSITIVE')
    expect(await codeOf(makeMaster(place, directory))).toBe('ERR_EXISTS')
  })

  it('computes the vectors of every label', async () => {
    const token = await openToken(fresh(), directory)
    for (const { input, output } of vectors.cases) {
      if (output === undefined) continue
      const label = `vector-${count++}`
      await token.use(({ module, session }) => {
        const create = module as unknown as {
          C_CreateObject(session: Buffer, template: { type: number; value: unknown }[]): Buffer
        }
        create.C_CreateObject(session, [
          { type: P11.CKA_CLASS, value: P11.CKO_SECRET_KEY },
          { type: P11.CKA_KEY_TYPE, value: P11.CKK_GENERIC_SECRET },
          { type: P11.CKA_VALUE, value: Buffer.from(fromHex(input.key)) },
          { type: P11.CKA_SIGN, value: true },
          { type: P11.CKA_LABEL, value: label },
        ])
      })
      const info = Buffer.concat([
        utf8(`keyferry/v1/${input.label}\0`),
        ...input.fields.map((field) => lengthPrefixed(fromHex(field))),
        Buffer.of(1),
      ])
      const mac = await token.use(async ({ module, session }) => {
        module.C_FindObjectsInit(session, [{ type: P11.CKA_LABEL, value: label }])
        const [handle] = module.C_FindObjects(session, 1)
        module.C_FindObjectsFinal(session)
        module.C_SignInit(session, { mechanism: P11.CKM_SHA256_HMAC }, handle!)
        return module.C_SignAsync(session, info, Buffer.alloc(32))
      })
      expect(hex(new Uint8Array(mac))).toBe(output)
      // A key that was brought in is no root: it may be anywhere.
      expect(await codeOf(pkcs11Key(at(label), directory))).toBe('ERR_ROOT_KEY')
    }
  })

  it.each(['Ed25519', 'ES256'] as const)('signs with a %s key that it made', async (alg) => {
    const place = fresh()
    if (alg === 'Ed25519' && !(await hasEd25519(place, directory))) return
    const made = await makeSigningKey(place, alg, directory)
    const key = await pkcs11SigningKey(place, directory)
    expect([key.alg, hex(key.spki)]).toEqual([alg, hex(made.spki)])
    const signature = await signBytes(key, utf8('what is signed'))
    const verify = await importVerifyKey(key.spki)
    expect(await verifySignature(verify, signature, utf8('what is signed'))).toBe(true)
    expect(await verifySignature(verify, signature, utf8('what is not'))).toBe(false)
  })

  it('a signature of another key that has its place in the token meanwhile is ERR_ROOT_KEY', async () => {
    const place = fresh()
    const key = await makeSigningKey(place, 'ES256', directory)
    const token = await openToken(place, directory)
    await token.use(({ module, session, found }) => {
      module.C_FindObjectsInit(session, [{ type: P11.CKA_LABEL, value: place.object }])
      const pair = module.C_FindObjects(session, 2)
      module.C_FindObjectsFinal(session)
      expect(pair).toHaveLength(2)
      for (const handle of pair) module.C_DestroyObject(session, handle)
      found.clear()
    })
    const next = await makeSigningKey(place, 'ES256', directory)
    expect((await signBytes(next, utf8('x'))).length).toBe(64)
    expect(await codeOf(signBytes(key, utf8('x')))).toBe('ERR_ROOT_KEY')
  })

  it('a wrong PIN is tried once, also by the next process, and the right one then opens', () => {
    const own = mkdtempSync(join(hsm.directory, 'deriver-'))
    const bad = join(own, 'bad-pin')
    writeFileSync(bad, 'wrong')
    const module = new URL('../../deriver/pkcs11-keys.ts', import.meta.url).href
    // A process each time, as systemd starts it again and again; in this one the token is open.
    const next = (): string => {
      const code = `
        const { pkcs11Key } = await import(${JSON.stringify(module)})
        try {
          await pkcs11Key(${JSON.stringify(at('key-0', bad))}, ${JSON.stringify(own)})
          console.log('open')
        } catch (error) { console.log(error.code, error.message) }`
      const args = ['--input-type=module', '-e', code]
      return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim()
    }
    expect(next()).toMatch(/^ERR_PIN .*CKR_PIN_INCORRECT/)
    expect(readFileSync(notePath(own, TOKEN)).includes('wrong')).toBe(false)
    expect(next()).toMatch(/^ERR_PIN .*refused before/)
    expect(next()).toMatch(/^ERR_PIN .*refused before/)
    writeFileSync(bad, PIN)
    expect(next()).toBe('open')
    expect(existsSync(notePath(own, TOKEN))).toBe(false)
  })

  it('a token that is taken away and comes back answers again', async () => {
    const place = fresh()
    await makeMaster(place, directory)
    const key = await pkcs11Key(place, directory)
    const before = hex(await key.mac(utf8('input')))
    hsm.unplug()
    expect(await codeOf(key.mac(utf8('input')))).toBe('ERR_ROOT')
    expect(await codeOf(key.mac(utf8('input')))).toBe('ERR_ROOT')
    hsm.plug()
    expect(hex(await key.mac(utf8('input')))).toBe(before)
  })

  it('a signing key whose session and PIN are gone is away, and signs again with the PIN', async () => {
    const pin = join(directory, 'pin')
    writeFileSync(pin, PIN)
    const place = at(`key-${count++}`, pin)
    await makeSigningKey(place, 'ES256', directory)
    const key = await pkcs11SigningKey(place, directory)
    rmSync(pin)
    hsm.unplug()
    expect(await codeOf(signBytes(key, utf8('x')))).toBe('ERR_ROOT')
    hsm.plug()
    expect(await codeOf(signBytes(key, utf8('x')))).toBe('ERR_ROOT')
    writeFileSync(pin, PIN)
    expect((await signBytes(key, utf8('x'))).length).toBe(64)
  })

  it.each([
    ['no such token', (place: Pkcs11Place) => ({ ...place, token: 'none' }), 'ERR_ROOT'],
    ['no such key', (place: Pkcs11Place) => ({ ...place, object: 'none' }), 'ERR_ROOT_KEY'],
    ['no such module', (place: Pkcs11Place) => ({ ...place, module: '/none.so' }), 'ERR_ROOT'],
    ['no PIN file', (place: Pkcs11Place) => ({ ...place, pin: { file: '/none' } }), 'ERR_IO'],
    [
      'no credential',
      (place: Pkcs11Place) => ({ ...place, pin: { credential: 'none' } }),
      'ERR_IO',
    ],
  ])('%s', async (_, change, code) => {
    expect(await codeOf(pkcs11Key(change(at('key-0')), directory))).toBe(code)
  })
})

describe('what SoftHSM2 never does', () => {
  const place = parsePlace(
    'pkcs11:token=t;object=o?module-path=/m.so&pin-source=file:/pin',
  ) as Pkcs11Place

  it.each([
    ['a locked PIN', P11.CKF_USER_PIN_LOCKED],
    ['one try left', P11.CKF_USER_PIN_FINAL_TRY],
  ])('%s: nothing is tried, however often it is asked', async (_, flags) => {
    let logins = 0
    const handle = Buffer.alloc(1)
    const module = {
      C_GetSlotList: () => [handle],
      C_GetTokenInfo: () => ({ label: 't', flags }),
      C_OpenSession: () => handle,
      C_CloseSession: () => {},
      C_Login: () => void logins++,
    } as unknown as Module
    const token = makeToken(module, place, '/none')
    for (let i = 0; i < 3; i++) expect(await codeOf(token.use(() => null))).toBe('ERR_PIN')
    expect(logins).toBe(0)
  })

  it('silence: nothing else uses the session of the operation that is still out, until it comes back', async () => {
    vi.useFakeTimers()
    try {
      const handle = Buffer.alloc(1)
      const closed: unknown[] = []
      const module = {
        C_GetSlotList: () => [handle],
        C_GetTokenInfo: () => ({ label: 't', flags: 0 }),
        C_OpenSession: () => handle,
        C_CloseSession: (one: unknown) => void closed.push(one),
        C_Login: () => {},
      } as unknown as Module
      const pin = join(mkdtempSync(join(tmpdir(), 'keyferry-pin-')), 'pin')
      writeFileSync(pin, '1234')
      const token = makeToken(module, { ...place, pin: { file: pin } }, join(pin, '..', 'note'))
      let answer = (): void => {}
      const silent = codeOf(token.use(() => new Promise<void>((resolve) => (answer = resolve))))
      let ran = 0
      const waiting = codeOf(token.use(() => void ran++))
      await vi.advanceTimersByTimeAsync(10_000)
      expect([await silent, await waiting]).toEqual(['ERR_ROOT_TIMEOUT', 'ERR_ROOT_TIMEOUT'])
      expect([ran, closed]).toEqual([0, []])
      answer()
      await vi.advanceTimersByTimeAsync(0)
      expect(await token.use(() => ++ran)).toBe(1)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['CKR_DEVICE_MEMORY', 0x31, 'ERR_ROOT_FULL'],
    ['CKR_PIN_LOCKED', 0xa4, 'ERR_PIN'],
    ['CKR_PIN_EXPIRED', 0xa3, 'ERR_PIN'],
    ['CKR_KEY_FUNCTION_NOT_PERMITTED', 0x68, 'ERR_ROOT_DENIED'],
    ['CKR_DEVICE_REMOVED', 0x32, 'ERR_ROOT'],
  ])('%s is a named error with a hint', (name, code, expected) => {
    const thrown = Object.assign(new Error(name), { name: 'Pkcs11Error', code })
    expect(explain(thrown, 'token t')).toMatchObject({
      code: expected,
      hint: expect.any(String) as string,
    })
  })
})

it('an HMAC of node:crypto is what the vectors have', () => {
  const [first] = vectors.cases
  const { key, label, fields } = first!.input
  const info = Buffer.concat([
    utf8(`keyferry/v1/${label}\0`),
    ...fields.map((f) => lengthPrefixed(fromHex(f))),
    Buffer.of(1),
  ])
  expect(createHmac('sha256', fromHex(key)).update(info).digest('hex')).toBe(first!.output)
})

it.runIf(softHsmModule !== undefined)(
  'without the package pkcs11js an HSM is a named error with a hint',
  () => {
    const away = mkdtempSync(join(tmpdir(), 'keyferry-no-p11-'))
    try {
      // A copy of the module where no node_modules is found.
      for (const name of ['deriver', 'shared'])
        execFileSync('cp', ['-r', new URL(`../../${name}`, import.meta.url).pathname, away])
      const code = `
      const { loadModule } = await import(${JSON.stringify(join(away, 'deriver/pkcs11-module.ts'))})
      try { await loadModule('x') } catch (error) { console.log(error.code, error.hint) }`
      const out = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
        encoding: 'utf8',
      })
      expect(out).toMatch(/^ERR_UNSUPPORTED npm install pkcs11js@/)
    } finally {
      rmSync(away, { recursive: true })
    }
  },
)
