// The demo's door lets hints through and no deliveries, however the bytes are cut.
import { expect, it } from 'vitest'
import { hintsOnly } from '../../demo/frames.ts'

const frame = (text: string, first = 0x81): Buffer => {
  const payload = Buffer.from(text)
  const { length } = payload
  const head = length < 126 ? [first, length] : [first, 126, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(head), payload])
}

it.each([1, 7, 10_000])('in pieces of %i bytes', async (piece) => {
  const handshake = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n')
  const delivery = JSON.stringify({ delivery: 'x'.repeat(300), hash: 'h', type: 'delivery' })
  const others = [frame('pong'), frame('{"type":"refusal"}'), frame('bye', 0x88)]
  const sent = Buffer.concat([handshake, others[0]!, frame(delivery), others[1]!, others[2]!])
  const stream = hintsOnly()
  const got: Buffer[] = []
  stream.on('data', (data: Buffer) => got.push(data))
  for (let at = 0; at < sent.length; at += piece) stream.write(sent.subarray(at, at + piece))
  stream.end()
  await new Promise((resolve) => stream.on('end', resolve))
  const hint = frame('{"hash":"h","type":"head"}')
  expect(Buffer.concat(got)).toEqual(
    Buffer.concat([handshake, others[0]!, hint, others[1]!, others[2]!]),
  )
})
