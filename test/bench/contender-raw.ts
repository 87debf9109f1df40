/** The bare cipher of the platform, as the limit of those that are compared: in Node and in browsers. */
import { type Bytes } from '../../shared/bytes.ts'
import { type Contender } from './contenders.ts'
import { drain, streamOf } from './streams.ts'

/** Bytes of plaintext in a chunk, and of what AES-GCM adds; how many chunks at once. */
const CHUNK = 16_384
const TAG = 16
const LANES = 16

/** The bare cipher: into one buffer, and with every chunk let go as soon as it is made, as a stream's are. */
export async function makeRaw(): Promise<Contender[]> {
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ])
  const makeChunk = async (
    usage: 'encrypt' | 'decrypt',
    chunk: Bytes,
    index: number,
  ): Promise<Bytes> => {
    const iv = new Uint8Array(12)
    new DataView(iv.buffer).setUint32(8, index)
    return new Uint8Array(await crypto.subtle[usage]({ name: 'AES-GCM', iv }, key, chunk))
  }
  const run = async (
    usage: 'encrypt' | 'decrypt',
    input: Bytes,
    take: (made: Bytes, index: number) => void,
  ): Promise<void> => {
    const size = usage === 'encrypt' ? CHUNK : CHUNK + TAG
    const count = Math.max(1, Math.ceil(input.length / size))
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < count) {
        const index = next++
        take(await makeChunk(usage, input.subarray(index * size, (index + 1) * size), index), index)
      }
    }
    await Promise.all(Array.from({ length: Math.min(LANES, count) }, lane))
  }
  const keep = async (usage: 'encrypt' | 'decrypt', input: Bytes): Promise<Bytes> => {
    const [from, to] = usage === 'encrypt' ? [CHUNK, CHUNK + TAG] : [CHUNK + TAG, CHUNK]
    const count = Math.max(1, Math.ceil(input.length / from))
    const output = new Uint8Array(input.length + count * (to - from))
    await run(usage, input, (made, index) => output.set(made, index * to))
    return output
  }
  const drop = async (usage: 'encrypt' | 'decrypt', input: Bytes): Promise<Bytes> => {
    let [last, end] = [new Uint8Array(), -1]
    await run(usage, input, (made, index) => {
      if (index > end) [last, end] = [made, index]
    })
    return last
  }
  /** Pieces in, chunks out in their order; so many at once. */
  const transform = (usage: 'encrypt' | 'decrypt'): TransformStream<Bytes, Bytes> => {
    const size = usage === 'encrypt' ? CHUNK : CHUNK + TAG
    const under: Promise<Bytes>[] = []
    let [buffer, filled, count] = [new Uint8Array(size), 0, 0]
    type Output = TransformStreamDefaultController<Bytes>
    const submit = async (chunk: Bytes, output: Output): Promise<void> => {
      under.push(makeChunk(usage, chunk, count++))
      if (under.length >= LANES) output.enqueue(await under.shift()!)
    }
    return new TransformStream(
      {
        async transform(piece, output) {
          for (let at = 0; at < piece.length;) {
            const part = piece.subarray(at, at + size - filled)
            at += part.length
            if (part.length === size) {
              await submit(part, output)
              continue
            }
            buffer.set(part, filled)
            filled += part.length
            if (filled < size) continue
            await submit(buffer, output)
            ;[buffer, filled] = [new Uint8Array(size), 0]
          }
        },
        async flush(output) {
          if (filled > 0) await submit(buffer.subarray(0, filled), output)
          for (const one of under) output.enqueue(await one)
        },
      },
      undefined,
      { highWaterMark: LANES },
    )
  }
  return [
    {
      name: 'raw WebCrypto',
      encrypt: (data) => keep('encrypt', data),
      decrypt: (message: Bytes) => keep('decrypt', message),
    },
    {
      name: 'raw WebCrypto, let go',
      least: CHUNK + 1,
      opens: 'raw WebCrypto',
      encrypt: (data) => drop('encrypt', data),
      decrypt: (message: Bytes) => drop('decrypt', message),
    },
    {
      name: 'raw WebCrypto, stream',
      least: CHUNK + 1,
      opens: 'raw WebCrypto',
      encrypt: (data) => drain(streamOf(data).pipeThrough(transform('encrypt'))),
      decrypt: (message: Bytes) => drain(streamOf(message).pipeThrough(transform('decrypt'))),
    },
  ]
}

/** The WebCrypto calls of one short message, with what can run beside one another doing so. */
export async function makeLeast(): Promise<Contender> {
  const mac: HmacKeyGenParams = { name: 'HMAC', hash: 'SHA-512', length: 256 }
  const key = await crypto.subtle.generateKey(mac, false, ['sign'])
  const [info, iv] = [new Uint8Array(120), new Uint8Array(12)]
  const run = async (usage: 'encrypt' | 'decrypt', data: Bytes): Promise<Bytes> => {
    const first = new Uint8Array(await crypto.subtle.sign('HMAC', key, info))
    const second = crypto.subtle.sign('HMAC', key, new Uint8Array(185))
    // What the HMAC gave is not used: a message is to be opened again.
    const raw = new Uint8Array(first.length / 2)
    const aead = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, [usage])
    // A commitment is compared before anything is opened.
    if (usage === 'decrypt') await second
    const made = await crypto.subtle[usage]({ name: 'AES-GCM', iv }, aead, data)
    await second
    return new Uint8Array(made)
  }
  return {
    name: 'least calls',
    most: CHUNK - 1,
    encrypt: (data) => run('encrypt', data),
    decrypt: (message: Bytes) => run('decrypt', message),
  }
}
