import { describe, expect, it } from 'vitest'
import { type Bytes, fromHex, utf8 } from '../../shared/bytes.ts'
import {
  der,
  derExplicit,
  derImplicit,
  derOid,
  derSequence,
  derSet,
  readDer,
} from '../../shared/der.ts'
import {
  checkNameConstraints,
  directoryName,
  type GeneralName,
  readGeneralName,
  readName,
  readNameConstraints,
} from '../../shared/names.ts'
import { errorCode, name, nameConstraints } from '../lib/odd-certificates.ts'

const email = (text: string): Bytes => der(0x81, utf8(text))
const dns = (text: string): Bytes => der(0x82, utf8(text))
const uri = (text: string): Bytes => der(0x86, utf8(text))
const ip = (hex: string): Bytes => der(0x87, fromHex(hex))
const directory = (bytes: Bytes): Bytes => derExplicit(4, bytes)
const read = (bytes: Bytes): GeneralName => readDer(bytes, readGeneralName)

/** The value of the extension that odd-certificates.ts makes. */
function constraintsOf(permitted: Bytes[], excluded: Bytes[]) {
  const value = readDer(nameConstraints(permitted, excluded), (outer) =>
    outer.inside(0x30, (reader) => {
      reader.oid()
      reader.flag()
      return reader.read(0x04)
    }),
  )
  return readDer(value, readNameConstraints)
}

function check(names: Bytes[], permitted: Bytes[], excluded: Bytes[] = []): Promise<string> {
  const constraints = constraintsOf(permitted, excluded)
  return errorCode(() => checkNameConstraints(constraints, names.map(read), () => {}))
}

const parts = (...texts: string[]): Bytes =>
  derSequence(
    ...texts.map((text) => derSet(derSequence(derOid('2.5.4.10'), der(0x0c, utf8(text))))),
  )

describe('name constraints [path-7]', () => {
  it('URIs are compared as URIs beside names of other forms, too', async () => {
    const permitted = [uri('acme.example'), dns('acme.example')]
    const inside = [uri('keyferry://acme.example/a'), dns('a.acme.example')]
    expect(await check(inside, permitted)).toBe('ok')
    expect(await check([uri('keyferry://evil.example/a'), inside[1]!], permitted)).toBe(
      'ERR_PATH_INVALID',
    )
    expect(await check(inside, [], [uri('acme.example'), dns('evil.example')])).toBe(
      'ERR_PATH_INVALID',
    )
  })

  it.each([
    ['a host', dns('acme.example'), dns('acme.example')],
    ['a host below', dns('a.b.acme.example'), dns('acme.example')],
    ['a host in other letters', dns('A.Acme.example'), dns('aCME.example')],
    ['a wildcard below', dns('*.acme.example'), dns('acme.example')],
    ['any host', dns('acme.example'), dns('')],
    ['a mailbox', email('Kim@acme.example'), email('Kim@ACME.example')],
    ['a mailbox of a host', email('kim@acme.example'), email('acme.example')],
    ['a mailbox of a host below', email('kim@mail.acme.example'), email('.acme.example')],
    ['an IPv4 address', ip('0a010203'), ip('0a010000ffff0000')],
    ['any IPv4 address', ip('0a010203'), ip('0000000000000000')],
    [
      'an IPv6 address',
      ip('20010db8000000000000000000000001'),
      ip(`20010db8${'0'.repeat(24)}ffffffff${'0'.repeat(24)}`),
    ],
    ['a directory name', directory(parts('Acme', 'keys')), directory(parts('Acme'))],
    ['the same directory name', directory(parts('Acme')), directory(parts('Acme'))],
    ['any directory name', directory(parts('Acme')), directory(derSequence())],
    ['a URI', uri('keyferry://a.acme.example/x'), uri('.acme.example')],
  ])('%s is within', async (_, one, base) => {
    expect(await check([one], [base])).toBe('ok')
    expect(await check([one], [], [base])).toBe('ERR_PATH_INVALID')
    // Of two permitted bases one is enough.
    const tag = base[0]!
    const other = tag === 0x87 ? ip('ff000000ff000000') : tag === 0xa4 ? directory(parts('x')) : der(tag, utf8('other.test')) // prettier-ignore
    expect(await check([one], [other, base])).toBe('ok')
  })

  it.each([
    ['a host that ends alike', dns('evilacme.example'), dns('acme.example')],
    ['the host above', dns('example'), dns('acme.example')],
    ['a mailbox in other letters', email('kim@acme.example'), email('Kim@acme.example')],
    ['a mailbox of another host', email('kim@acme.test'), email('kim@acme.example')],
    ['a mailbox below an exact host', email('kim@mail.acme.example'), email('acme.example')],
    ['a mailbox of the host above', email('kim@acme.example'), email('.acme.example')],
    ['an IPv4 address', ip('0a020203'), ip('0a010000ffff0000')],
    ['an IPv4 address under IPv6', ip('0a010203'), ip('0'.repeat(64))],
    ['an IPv6 address under IPv4', ip('0'.repeat(32)), ip('0000000000000000')],
    ['a shorter directory name', directory(parts('Acme')), directory(parts('Acme', 'keys'))],
    ['a directory name in other letters', directory(parts('ACME')), directory(parts('Acme'))],
    ['a later part of a directory name', directory(parts('x', 'Acme')), directory(parts('Acme'))],
    ['a URI', uri('keyferry://acme.test/x'), uri('.acme.example')],
  ])('%s is not within', async (_, one, base) => {
    expect(await check([one], [base])).toBe('ERR_PATH_INVALID')
    expect(await check([one], [], [base])).toBe('ok')
  })

  it('[path-7] an excluded name that a wildcard may stand for', async () => {
    expect(await check([dns('*.acme.example')], [], [dns('a.acme.example')])).toBe(
      'ERR_PATH_INVALID',
    )
    expect(await check([dns('*.acme.example')], [], [dns('a.other.test')])).toBe('ok')
    // Permitting one host does not permit the wildcard above it.
    expect(await check([dns('*.acme.example')], [dns('a.acme.example')])).toBe('ERR_PATH_INVALID')
  })

  it.each([
    ['a mask with gaps', ip('0a010203'), ip('0a010000ff00ff00')],
    ['a constraint of another length', ip('0a010203'), ip('0a0100ffff00')],
    ['an address of another length', ip('0a0102'), ip('0a010000ffff0000')],
    ['a host constraint with a dot before it', dns('a.acme.example'), dns('.acme.example')],
    ['a host that is none', dns('acme example'), dns('acme.example')],
    ['a wildcard inside', dns('a.*.example'), dns('example')],
    ['a mail address that is none', email('acme.example'), email('acme.example')],
    ['a mail constraint that is none', email('kim@acme.example'), email('@acme.example')],
    ['a host constraint of mail that is none', email('kim@acme.example'), email('a b')],
    ['another form', der(0x88, fromHex('2a03')), der(0x88, fromHex('2a04'))],
  ])('[path-7] refuses %s, permitted or excluded', async (_, one, base) => {
    expect(await check([one], [base])).toBe('ERR_PATH_INVALID')
    expect(await check([one], [], [base])).toBe('ERR_PATH_INVALID')
  })

  it('applies only to names of the same form', async () => {
    expect(await check([dns('acme.test')], [uri('.acme.example')])).toBe('ok')
    expect(await check([dns('acme.test')], [], [der(0x88, fromHex('2a03')), ip('00'.repeat(8))])).toBe('ok') // prettier-ignore
  })

  it('[path-7] a minimum or maximum, whatever the names', async () => {
    for (const n of [0, 1]) {
      const base = derSequence(dns('acme.example'), derImplicit(n, fromHex('01')))
      const constraints = readDer(derSequence(derExplicit(0, base)), readNameConstraints)
      expect(await errorCode(() => checkNameConstraints(constraints, [], () => {}))).toBe(
        'ERR_PATH_INVALID',
      )
    }
  })

  it('counts a comparison for each name and base of its form', async () => {
    let spent = 0
    const constraints = constraintsOf([dns('a'), dns('b'), uri('.c')], [dns('x')])
    await checkNameConstraints(constraints, [read(dns('a')), read(ip('0a010203'))], () => spent++)
    expect(spent).toBe(3)
  })
})

describe('reading names', () => {
  it.each([
    ['text that is not ASCII', der(0x86, fromHex('6bff'))],
    ['a form that does not exist', der(0x89, fromHex('6b'))],
    ['a directory name that is none', der(0xa4, fromHex('0500'))],
  ])('refuses %s', async (_, bytes) => {
    expect(await errorCode(() => read(bytes))).toBe('ERR_MALFORMED')
  })

  it('refuses empty constraints', async () => {
    expect(await errorCode(() => readDer(derSequence(), readNameConstraints))).toBe('ERR_MALFORMED')
    const bare = derSequence(derExplicit(0))
    expect(await errorCode(() => readDer(bare, readNameConstraints))).toBe('ERR_MALFORMED')
  })

  it('shows the attributes of a name', () => {
    const seen: string[] = []
    const bytes = name('alice')
    expect(readDer(bytes, (reader) => readName(reader, (oid) => seen.push(oid)))).toEqual(bytes)
    expect(seen).toEqual(['2.5.4.3'])
    expect(directoryName(bytes)).toEqual({ tag: 0xa4, content: bytes, text: '' })
  })
})
