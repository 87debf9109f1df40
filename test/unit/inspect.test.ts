/** What `keyferry inspect` says of a file. */
import { expect, it } from 'vitest'
import { emptyLog } from '../../deriver/log.ts'
import { inspect } from '../../deriver/inspect.ts'
import { publish } from '../../deriver/publish.ts'
import { versionStatuses } from '../../deriver/version-status.ts'
import { base64url, fromHex, hex } from '../../shared/bytes.ts'
import { encodeEnvelope, signWithAuthority } from '../../shared/envelope.ts'
import { encodeEntry } from '../../shared/log.ts'
import { encryptMessage } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { keyId } from '../../shared/signature.ts'
import { ring, tenant, useTenant } from '../lib/deriver.ts'

useTenant()

it('key ids are in hex, as other commands show them, wherever they stand', async () => {
  const { store, keys, trust, clock } = tenant
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  const [version] = versionStatuses(store, ring(), trust.body.skew, clock.now)
  const id = version!.keyId
  expect(id).toMatch(/^[0-9a-f]{64}$/)
  const { manifest } = ring()
  const { body } = store.get<{ body: Uint8Array }>(
    'SELECT body FROM objects WHERE hash = ?',
    manifest,
  )!
  const { versions } = inspect(new Uint8Array(body)).claims as { versions: { keyId: string }[] }
  expect(versions.map((one) => one.keyId)).toContain(id)
  const key = await subtle().importKey(
    'raw',
    new Uint8Array(32),
    { name: 'HMAC', hash: 'SHA-512' },
    false,
    ['sign'],
  )
  const none = new Uint8Array()
  const message = await encryptMessage(key, fromHex(id), none, new Uint8Array(24), none)
  expect(inspect(message).claims['keyId']).toBe(id)
  const names = { keyring: ring().id, incarnation: 1, version: 1, keyId: fromHex(id) }
  const entry = encodeEntry('version-destroyed', clock.now, { ...names, record: fromHex(id) })
  expect(inspect(entry).claims).toMatchObject({ keyId: id, record: base64url(fromHex(id)) })
  const [authority] = keys.authority
  const record = await signWithAuthority('export', { keyId: fromHex(id) }, [authority!])
  expect(inspect(encodeEnvelope(record)).claims).toMatchObject({
    keyId: id,
    signedBy: [hex(await keyId(authority!.spki))],
  })
})

it('a key id that is none is shown as it stands', async () => {
  const [authority] = tenant.keys.authority
  for (const odd of ['soon', 7, ['x'], 'B'.repeat(43)]) {
    const record = await signWithAuthority('export', { keyId: odd }, [authority!])
    expect(inspect(encodeEnvelope(record)).claims['keyId']).toEqual(odd)
  }
})
