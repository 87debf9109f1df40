/**
 * The part of the package `pkcs11js` that is used here, and its loading: it is optional, compiled when it is installed, and nothing but an HSM needs it.
 * What it throws has the return value of PKCS#11 (OASIS, version 2.40) as `code`.
 */
import { KeyferryError } from '../shared/errors.ts'

/** Handles are opaque. */
export type Handle = Buffer
export interface Attribute {
  type: number
  value?: Buffer | number | boolean | string
}
export interface Mechanism {
  mechanism: number
  parameter?: Buffer | object
}
export interface TokenInfo {
  label: string
  flags: number
}

/** The functions of a loaded module. */
export interface Module {
  load(path: string): void
  C_Initialize(): void
  C_Finalize(): void
  C_GetSlotList(present: boolean): Handle[]
  C_GetTokenInfo(slot: Handle): TokenInfo
  C_GetMechanismList(slot: Handle): number[]
  C_OpenSession(slot: Handle, flags: number): Handle
  C_CloseSession(session: Handle): void
  C_Login(session: Handle, user: number, pin: string): void
  C_FindObjectsInit(session: Handle, template: Attribute[]): void
  C_FindObjects(session: Handle, most: number): Handle[]
  C_FindObjectsFinal(session: Handle): void
  C_GetAttributeValue(
    session: Handle,
    object: Handle,
    template: Attribute[],
  ): { type: number; value: Buffer }[]
  C_GenerateKey(session: Handle, mechanism: Mechanism, template: Attribute[]): Handle
  C_GenerateKeyPair(
    session: Handle,
    mechanism: Mechanism,
    publicTemplate: Attribute[],
    privateTemplate: Attribute[],
  ): { publicKey: Handle; privateKey: Handle }
  C_UnwrapKey(
    session: Handle,
    mechanism: Mechanism,
    key: Handle,
    wrapped: Buffer,
    template: Attribute[],
  ): Handle
  C_DestroyObject(session: Handle, object: Handle): void
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void
  C_SignAsync(session: Handle, data: Buffer, out: Buffer): Promise<Buffer>
}

/** Numbers of PKCS#11 2.40 and 3.0 that are used. */
export const P11 = {
  CKF_RW_SESSION: 2,
  CKF_SERIAL_SESSION: 4,
  CKF_USER_PIN_FINAL_TRY: 0x20000,
  CKF_USER_PIN_LOCKED: 0x40000,
  CKU_USER: 1,
  CKO_PUBLIC_KEY: 2,
  CKO_PRIVATE_KEY: 3,
  CKO_SECRET_KEY: 4,
  CKK_RSA: 0,
  CKK_EC: 3,
  CKK_GENERIC_SECRET: 0x10,
  CKK_AES: 0x1f,
  CKK_EC_EDWARDS: 0x40,
  CKA_CLASS: 0,
  CKA_TOKEN: 1,
  CKA_PRIVATE: 2,
  CKA_LABEL: 3,
  CKA_VALUE: 0x11,
  CKA_KEY_TYPE: 0x100,
  CKA_SENSITIVE: 0x103,
  CKA_ENCRYPT: 0x104,
  CKA_DECRYPT: 0x105,
  CKA_WRAP: 0x106,
  CKA_UNWRAP: 0x107,
  CKA_SIGN: 0x108,
  CKA_VERIFY: 0x10a,
  CKA_DERIVE: 0x10c,
  CKA_MODULUS_BITS: 0x121,
  CKA_PUBLIC_EXPONENT: 0x122,
  CKA_VALUE_LEN: 0x161,
  CKA_EXTRACTABLE: 0x162,
  CKA_LOCAL: 0x163,
  CKA_NEVER_EXTRACTABLE: 0x164,
  CKA_ALWAYS_SENSITIVE: 0x165,
  CKA_EC_PARAMS: 0x180,
  CKA_EC_POINT: 0x181,
  CKM_SHA256_HMAC: 0x251,
  CKM_GENERIC_SECRET_KEY_GEN: 0x350,
  CKM_EC_KEY_PAIR_GEN: 0x1040,
  CKM_ECDSA: 0x1041,
  CKM_EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  CKM_EDDSA: 0x1057,
} as const

/** Return values by what they mean here. */
const PIN_BAD = new Set([0xa0, 0xa1, 0xa2, 0xa3, 0xa4])
const FULL = new Set([0x31])
const DENIED = new Set([0x68, 0x1b0])

/** The session or the token is gone; whether it comes back, another try tells. */
const LOST = new Set([
  0x30, 0x32, 0x82, 0x60, 0x90, 0xb0, 0xb1, 0xb3, 0xe0, 0xe1, 0x101, 0x190, 0x05, 0x06, 0x03,
])

export function returnValue(error: unknown): number | null {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  return name === 'Pkcs11Error' && typeof code === 'number' ? code : null
}

export function isLost(error: unknown): boolean {
  const value = returnValue(error)
  return value !== null && LOST.has(value)
}

/** An error of a module in our words. */
export function explain(error: unknown, what: string): KeyferryError {
  if (error instanceof KeyferryError) return error
  const value = returnValue(error)
  const text = `${what}: ${(error as Error).message}`
  const of = (code: KeyferryError['code'], hint: string): KeyferryError =>
    new KeyferryError(code, text, { cause: error, hint })
  if (value !== null && PIN_BAD.has(value)) {
    return of(
      'ERR_PIN',
      'put the right PIN into the pin-source; nothing is tried again with this one',
    )
  }
  if (value !== null && FULL.has(value))
    return of(
      'ERR_ROOT_FULL',
      'remove objects that nothing needs: pkcs11-tool --list-objects shows them',
    )
  if (value !== null && DENIED.has(value))
    return of('ERR_ROOT_DENIED', 'does the policy of the token allow this use of the key?')
  return of(
    'ERR_ROOT',
    'is the HSM there? pkcs11-tool --module PATH --list-token-slots shows what the module sees',
  )
}

/** Another part of this process may have done it. */
function initialize(module: Module): void {
  try {
    module.C_Initialize()
  } catch (error) {
    if (returnValue(error) !== 0x191) throw error
  }
}

const modules = new Map<string, Module>()

/** A module, loaded and initialized once in this process. Throws `ERR_UNSUPPORTED` without pkcs11js, `ERR_ROOT`. */
export async function loadModule(path: string): Promise<Module> {
  const known = modules.get(path)
  if (known !== undefined) return known
  // Not a literal: it need not be there when types are checked or a bundle is made.
  const name = 'pkcs11js'
  let library: { PKCS11: new () => Module }
  try {
    const loaded = (await import(name)) as { default?: typeof library } & typeof library
    library = loaded.default ?? loaded
  } catch (cause) {
    throw new KeyferryError(
      'ERR_UNSUPPORTED',
      'the package pkcs11js, which speaks to HSMs, cannot be loaded',
      {
        cause,
        hint: 'npm install pkcs11js@2.1.7 (it is compiled then: a C++ compiler, make and Python are needed)',
      },
    )
  }
  const module = new library.PKCS11()
  try {
    module.load(path)
    initialize(module)
  } catch (cause) {
    throw new KeyferryError(
      'ERR_ROOT',
      `${path} is no PKCS#11 module that can be used: ${(cause as Error).message}`,
      {
        cause,
        hint: 'module-path is the shared library of the vendor, such as /usr/lib/softhsm/libsofthsm2.so',
      },
    )
  }
  modules.set(path, module)
  return module
}
