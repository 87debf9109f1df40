/** What a relay sends over a WebSocket (RFC 6455), with hints in place of whole deliveries: whoever gets one asks, and the insider answers. */
import { Transform } from 'node:stream'

const TEXT = 0x81
const LONG = 126
const LONGEST = 127

/** A frame of a server at the beginning of `data`; `undefined` where it is not all there. */
function readFrame(data: Buffer): { size: number; payload: Buffer } | undefined {
  if (data.length < 2) return undefined
  const short = data[1]!
  const first = short === LONG ? 4 : short === LONGEST ? 10 : 2
  if (data.length < first) return undefined
  const length =
    short === LONG
      ? data.readUInt16BE(2)
      : short === LONGEST
        ? Number(data.readBigUInt64BE(2))
        : short
  const size = first + length
  return data.length < size ? undefined : { size, payload: data.subarray(first, size) }
}

function hintOf(payload: Buffer): Buffer | undefined {
  const event = JSON.parse(payload.toString()) as { type?: string; hash?: string }
  if (event.type !== 'delivery') return undefined
  const text = Buffer.from(JSON.stringify({ hash: event.hash, type: 'head' }))
  return Buffer.concat([Buffer.from([TEXT, text.length]), text])
}

/** The bytes of a server, from its handshake on. The handshake must not have agreed on extensions. */
export function hintsOnly(): Transform {
  let rest: Buffer = Buffer.alloc(0)
  let isOpen = false
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      rest = Buffer.concat([rest, chunk])
      if (!isOpen) {
        const end = rest.indexOf('\r\n\r\n')
        if (end < 0) return done()
        isOpen = true
        this.push(rest.subarray(0, end + 4))
        rest = rest.subarray(end + 4)
      }
      for (let frame = readFrame(rest); frame !== undefined; frame = readFrame(rest)) {
        const { size, payload } = frame
        const isEvent = rest[0] === TEXT && payload[0] === 0x7b
        this.push((isEvent ? hintOf(payload) : undefined) ?? rest.subarray(0, size))
        rest = rest.subarray(size)
      }
      done()
    },
    flush(done) {
      // An answer that opened no socket has a body of its own.
      this.push(rest)
      done()
    },
  })
}
