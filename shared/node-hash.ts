/** The one-shot hash of node:crypto, where it runs. */

interface OneShot {
  (name: string, data: Uint8Array, encoding: 'buffer'): Uint8Array<ArrayBuffer>
  (name: string, data: Uint8Array, encoding: 'binary'): string
}
/** What is used of Node. */
interface Platform {
  process?: { getBuiltinModule?: (name: string) => { hash?: OneShot } | undefined }
}

export const nodeHash = (globalThis as Platform).process?.getBuiltinModule?.('node:crypto')?.hash
