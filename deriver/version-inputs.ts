/** What version secrets and key ids of a keyring are made from (shared/kdf.ts), for thousands of them. */
import { type Bytes } from '../shared/bytes.ts'
import { commitInput, versionInput } from '../shared/kdf.ts'
import { versionContext, type Manifest, type VersionId } from '../shared/manifest.ts'

type Version = VersionId & { algorithm: number }

/** From the end of an input to its version number: that number, the algorithm, and the last octet; to the number of the incarnation, and so on. */
const [VERSION, INCARNATION, ALGORITHM] = [-15, -25, -5]
/** Octets of a nonce and of both lengths, of nonce and salt, which stand before the last octet where a secret is made. */
const NONCE = 16
const LENGTHS = 4

function writeU32(bytes: Bytes, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** The numbers of a version are below 2^32: the upper halves stay 0. */
function writeVersion(bytes: Bytes, end: number, version: Version): Bytes {
  writeU32(bytes, end + INCARNATION + 4, version.incarnation)
  writeU32(bytes, end + VERSION + 4, version.version)
  writeU32(bytes, end + ALGORITHM, version.algorithm)
  return bytes
}

/**
 * The same bytes as those of {@link commitInput} and {@link versionInput}, in the same memory each time: of all versions of a keyring they differ in a few
 * places, and to make them anew takes longer than the HMAC over them.
 */
export class VersionInputs {
  readonly #names: Pick<Manifest, 'tenant' | 'keyring'>
  readonly #commit: Bytes
  /** By length of the salt. */
  readonly #version = new Map<number, Bytes>()

  constructor(names: Pick<Manifest, 'tenant' | 'keyring'>) {
    this.#names = names
    this.#commit = commitInput(this.#context())
  }

  #context(): ReturnType<typeof versionContext> {
    return versionContext(this.#names, { incarnation: 0, version: 0, algorithm: 0 })
  }

  commit(version: Version): Bytes {
    return writeVersion(this.#commit, this.#commit.length, version)
  }

  version(version: Version & { nonce: Bytes; salt: Bytes }): Bytes {
    const { nonce, salt } = version
    const input =
      this.#version.get(salt.length) ??
      versionInput(this.#context(), new Uint8Array(NONCE), new Uint8Array(salt.length))
    this.#version.set(salt.length, input)
    const saltAt = input.length - 1 - salt.length
    const nonceAt = saltAt - 2 - NONCE
    input.set(nonce, nonceAt)
    input.set(salt, saltAt)
    return writeVersion(input, input.length - salt.length - NONCE - LENGTHS, version)
  }

  /** Salts are secret. */
  wipe(): void {
    for (const input of this.#version.values()) input.fill(0)
    this.#version.clear()
  }
}
