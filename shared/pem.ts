/** PEM in the strict form of RFC 7468: only blocks of one label, lines of 64 characters, canonical base64. */
import { base64url, type Bytes, fromBase64url } from './bytes.ts'
import { KeyferryError } from './errors.ts'

/** One PEM block, with a line end behind it. */
export function encodePem(label: string, der: Uint8Array): string {
  const text = base64url(der).replaceAll('-', '+').replaceAll('_', '/')
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4, '=')
  return `-----BEGIN ${label}-----\n${padded.replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`
}

/**
 * The contents of one or more PEM blocks of this label, with nothing but white space between them. Throws
 * `ERR_MALFORMED`, or `ERR_NOT_CANONICAL` for base64 with non-zero unused bits.
 */
export function decodePem(text: string, label: string): Bytes[] {
  const begin = `-----BEGIN ${label}-----\n`
  const end = `-----END ${label}-----`
  const blocks: Bytes[] = []
  let rest = text.replaceAll('\r\n', '\n').trimStart()
  while (rest !== '' || blocks.length === 0) {
    const at = rest.indexOf(end)
    const body = rest.slice(begin.length, Math.max(at, 0))
    const base64 = body.replaceAll('\n', '')
    const isLined = body === base64.replace(/.{1,64}/g, '$&\n')
    const isPadded = base64.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(base64)
    if (!rest.startsWith(begin) || !isLined || !isPadded) {
      throw new KeyferryError('ERR_MALFORMED', `not PEM blocks of ${label}`)
    }
    const plain = base64.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')
    blocks.push(fromBase64url(plain))
    rest = rest.slice(at + end.length)
    if (rest !== '' && !/^\s/.test(rest)) throw new KeyferryError('ERR_MALFORMED', 'PEM end')
    rest = rest.trimStart()
  }
  return blocks
}
