/** Revocation lists of a client, from a relay that writes into the memory of its answers. */
import { expect, it } from 'vitest'
import { equal, hex, type Bytes } from '../../shared/bytes.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { Lists } from '../../web/lists.ts'
import { type StoredState } from '../../web/store.ts'
import { type Transport } from '../../web/transport.ts'
import { ClientRelay } from '../lib/client-relay.ts'

it('[sign-6] a list is kept as it was looked at, whenever the memory of the answer changes', async () => {
  const relay = await ClientRelay.start([])
  await relay.publish()
  const { head, body, crls } = relay.publication!
  const kept: string[] = []
  for (let turns = 0; turns < 20; turns++) {
    let state = { head: encodeEnvelope(head), lists: [] } as unknown as StoredState
    const transport = {
      attempt: (work: (post: unknown) => Promise<Bytes>) =>
        work(({ hash }: { hash: Bytes }) => {
          const answer = crls.find((der) => equal(sha256(der), hash))!.slice()
          let change = Promise.resolve()
          for (let i = 0; i < turns; i++) change = change.then(() => {})
          void change.then(() => answer.fill(0))
          return Promise.resolve(answer)
        }),
    } as unknown as Transport
    const lists = new Lists({
      transport,
      state: () => state,
      update: (change) => Promise.resolve(void (state = change(state))),
    })
    const issuers = body.crls.map(({ issuer }) => issuer)
    await lists.read(issuers, new AbortController().signal).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'ERR_HASH' })
    })
    for (const { der, hash } of state.lists) {
      expect(hex(sha256(der))).toBe(hex(hash))
      kept.push(hex(hash))
    }
  }
  expect(kept.length).toBeGreaterThan(0)
})
