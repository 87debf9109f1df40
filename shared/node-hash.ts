/** The one-shot hash of node:crypto, where it runs. */

type OneShot = (name: string, data: Uint8Array, encoding: 'buffer') => Uint8Array<ArrayBuffer>
/** What is used of Node. */
interface Platform {
  process?: { getBuiltinModule?: (name: string) => { hash?: OneShot } | undefined }
}

export const nodeHash = (globalThis as Platform).process?.getBuiltinModule?.('node:crypto')?.hash
