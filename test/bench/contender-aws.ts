/** The AWS Encryption SDK as a way to encrypt application data, in Node: its browser build is another one. */
import { buildDecrypt } from '@aws-crypto/decrypt-node'
import { buildEncrypt } from '@aws-crypto/encrypt-node'
import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/raw-aes-keyring-node'
import { random } from '../../deriver/random.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { type Contender } from './contenders.ts'

/** AES-256-GCM in frames, a data key from HKDF-SHA-512 and its commitment, without the signature of each message that is the default. */
const COMMITTED_UNSIGNED = 0x0478
const FRAME = 16_384
const PIECE = 65_536

/** Runs data through a stream, 64 KiB at a time, and lets go of every piece. Returns the last one. */
async function drainThrough(stream: NodeJS.ReadWriteStream, data: Uint8Array): Promise<Bytes> {
  const feed = async (): Promise<void> => {
    for (let at = 0; at < data.length; at += PIECE) {
      if (!stream.write(data.subarray(at, at + PIECE)))
        await new Promise((resolve) => stream.once('drain', resolve))
    }
    stream.end()
  }
  const fed = feed()
  let last: Uint8Array = new Uint8Array()
  for await (const piece of stream) last = piece as unknown as Uint8Array
  await fed
  return new Uint8Array(last)
}

/** One-shot calls, and streams, under one raw AES key. */
export function makeAws(): Contender[] {
  const { encrypt, encryptStream } = buildEncrypt()
  const { decrypt, decryptUnsignedMessageStream } = buildDecrypt()
  const keyring = new RawAesKeyringNode({
    keyName: 'bench',
    keyNamespace: 'bench',
    unencryptedMasterKey: random(32),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
  // Anew for each message: the library notes its length in it.
  const how = () => ({
    suiteId: COMMITTED_UNSIGNED as never,
    frameLength: FRAME,
    encryptionContext: { context: 'note/1' },
  })
  return [
    {
      name: 'AWS Encryption SDK',
      encrypt: async (data) => (await encrypt(keyring, data, how())).result,
      decrypt: async (message: Uint8Array) =>
        new Uint8Array((await decrypt(keyring, message)).plaintext),
    },
    {
      name: 'AWS Encryption SDK stream',
      opens: 'AWS Encryption SDK',
      encrypt: (data) => drainThrough(encryptStream(keyring, how()), data),
      decrypt: (message: Uint8Array) =>
        drainThrough(decryptUnsignedMessageStream(keyring), message),
    },
  ]
}
