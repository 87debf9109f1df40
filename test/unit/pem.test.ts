import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { errorCode } from '../lib/odd-certificates.ts'

it('round-trips one block and several', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1 }),
      (list) => {
        const blocks = list.map((bytes) => Uint8Array.from(bytes))
        const text = blocks.map((bytes) => encodePem('TEST', bytes)).join('\n')
        expect(decodePem(text, 'TEST')).toEqual(blocks)
        expect(decodePem(text.replaceAll('\n', '\r\n'), 'TEST')).toEqual(blocks)
        expect(decodePem(`\n${text.trimEnd()}`, 'TEST')).toEqual(blocks)
      },
    ),
  )
})

it('reads and writes what openssl does', () => {
  const args = ['genpkey', '-algorithm', 'ed25519']
  const pem = execFileSync('openssl', args).toString()
  const [key] = decodePem(pem, 'PRIVATE KEY')
  expect(key?.[0]).toBe(0x30)
  expect(encodePem('PRIVATE KEY', key!)).toBe(pem)
})

const BEGIN = '-----BEGIN TEST-----\n'
const END = '-----END TEST-----'
it.each([
  ['nothing', ''],
  ['white space', '\n \n'],
  ['an empty block', `${BEGIN}${END}`],
  ['another label', '-----BEGIN OTHER-----\nAAAA\n-----END OTHER-----\n'],
  ['text before', `x\n${BEGIN}AAAA\n${END}\n`],
  ['text after', `${BEGIN}AAAA\n${END}\nx`],
  ['text right after', `${BEGIN}AAAA\n${END}x`],
  ['two blocks without a line between', `${BEGIN}AAAA\n${END}${BEGIN}AAAA\n${END}`],
  ['no end', `${BEGIN}AAAA\n`],
  ['another label of the same length', `${BEGIN.replace('TEST', 'TOST')}AAAA\n${END}`],
  ['headers', `${BEGIN}Proc-Type: 4\n\nAAAA\n${END}`],
  ['no line end before the end', `${BEGIN}AAAA${END}`],
  ['a short line', `${BEGIN}AAAA\nAAAA\n${END}`],
  ['a long line', `${BEGIN}${'A'.repeat(68)}\n${END}`],
  ['an empty line', `${BEGIN}AAAA\n\n${END}`],
  ['a space', `${BEGIN}AAAA \n${END}`],
  ['no padding', `${BEGIN}AA\n${END}`],
  ['padding in the middle', `${BEGIN}AA==AAAA\n${END}`],
  ['three padding characters', `${BEGIN}A===\n${END}`],
  ['only padding', `${BEGIN}====\n${END}`],
  ['base64url', `${BEGIN}AA-_\n${END}`],
])('refuses %s', async (_, text) => {
  expect(await errorCode(() => decodePem(text, 'TEST'))).toBe('ERR_MALFORMED')
})

it('refuses unused bits that are not zero', async () => {
  const text = `${BEGIN}AB==\n${END}`
  expect(await errorCode(() => decodePem(text, 'TEST'))).toBe('ERR_NOT_CANONICAL')
})

it('answers arbitrary text with a KeyferryError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => {
      for (const input of [text, `${BEGIN}${text}\n${END}`]) {
        await errorCode(() => decodePem(input, 'TEST'))
      }
    }),
  )
})
