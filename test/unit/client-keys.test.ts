// The keys of a bundle in a client: a name that was unwrapped counts for the bytes that it was unwrapped from, and for no other ones.
import { expect, it } from 'vitest'
import { encodeName } from '../../shared/bundle.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { subtle } from '../../shared/platform.ts'
import { openKeys, requireName } from '../../web/keys.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

async function keyAndNames(...names: string[]): Promise<{ kek: CryptoKey; wrapped: Bytes[] }> {
  const kek = await subtle().generateKey({ name: 'AES-KW', length: 256 }, false, [
    'wrapKey',
    'unwrapKey',
  ])
  const wrap = async (name: string): Promise<Bytes> => {
    const algorithm = { name: 'HMAC', hash: 'SHA-256', length: 512 }
    const key = await subtle().importKey('raw', encodeName(name), algorithm, true, ['sign'])
    return new Uint8Array(await subtle().wrapKey('raw', key, kek, 'AES-KW'))
  }
  return { kek, wrapped: await Promise.all(names.map(wrap)) }
}

const bundleOf = (name: Bytes) => ({ bundle: { name }, manifest: {} }) as never

it('[bundle-2] each bundle of a generation says its own name, one after the other', async () => {
  const { kek, wrapped } = await keyAndNames('notes', 'payroll')
  const [notes, payroll] = wrapped.map((name) => openKeys(bundleOf(name), kek))
  await requireName(notes!, 'notes')
  await expectCode(requireName(payroll!, 'notes'), 'ERR_KEYRING')
  await requireName(payroll!, 'payroll')
  await expectCode(requireName(notes!, 'payroll'), 'ERR_KEYRING')
  await requireName(notes!, 'notes')
})

it('a name that does not open is asked for again, and takes the place of none', async () => {
  const { kek, wrapped } = await keyAndNames('notes')
  const other = wrapped[0]!.with(0, wrapped[0]![0]! ^ 1)
  const broken = openKeys(bundleOf(other), kek)
  await expectCode(broken.name(), 'ERR_OPEN')
  await expectCode(broken.name(), 'ERR_OPEN')
  expect(await openKeys(bundleOf(wrapped[0]!), kek).name()).toBe('notes')
})

it('whoever changes the memory of a bundle later changes no name', async () => {
  const { kek, wrapped } = await keyAndNames('notes', 'payroll')
  const memory = wrapped[0]!
  expect(await openKeys(bundleOf(memory), kek).name()).toBe('notes')
  memory.set(wrapped[1]!)
  expect(await openKeys(bundleOf(memory), kek).name()).toBe('payroll')
})
