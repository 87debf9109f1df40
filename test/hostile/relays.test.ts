/** Two relays of which the first one withholds: a client asks the second, and nothing else changes. */
import { describe, expect, it } from 'vitest'
import { createMemoryStore, type Keyferry } from '../../web/index.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { codeOf } from '../lib/deriver.ts'
import { issueSigner, uriOf } from '../lib/world.ts'

async function set(): Promise<{ relay: ClientRelay; client: Keyferry }> {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  const config = relay.config(['https://first.example', 'https://second.example'])
  const client = await openClient(relay, { config, identity, store: createMemoryStore() })
  await client.keyring('notes')
  return { relay, client }
}

const nothing = () => new Response(null, { status: 204 })

describe('of two relays', () => {
  it('3.1 one relay withholds: it has nothing new · first of two relays · the second one has', async () => {
    const { relay, client } = await set()
    relay.interfere = ({ host }) => (host === 'first.example' ? nothing() : undefined)
    // While what is known is young, nobody has to be asked twice.
    relay.hosts = []
    await client.refresh()
    expect(relay.hosts).toEqual(['first.example'])
    relay.now += 2_701
    await relay.publish()
    await client.refresh()
    relay.now += 3_600
    await (await client.keyring('notes')).encrypt('x')
  })

  it('3.1 one relay withholds: an older head, honestly signed · first of two relays · the second one has the new one', async () => {
    const { relay, client } = await set()
    await relay.publish()
    const old = relay.publication!
    relay.now += 3_500
    await relay.publish()
    const newest = relay.publication!
    relay.interfere = ({ host }) => {
      relay.publication = host === 'first.example' ? old : newest
      return undefined
    }
    await client.refresh()
    relay.now += 3_600
    await (await client.keyring('notes')).encrypt('x')
  })

  it('3.1 one relay withholds: a keyring, under a new head · first of two relays · the second one shows it', async () => {
    const { relay, client } = await set()
    await relay.publish()
    relay.twist = (delivery) =>
      relay.hosts.at(-1) === 'first.example' ? { ...delivery, keyrings: [] } : delivery
    await client.refresh()
    expect((await client.keyring('notes')).state).toBe('ready')
  })

  it('3.1 one relay withholds: so do all · both relays · ERR_STALE', async () => {
    const { relay, client } = await set()
    relay.interfere = nothing
    relay.now += 3_600 + 61
    await client.refresh()
    expect(await codeOf((await client.keyring('notes')).encrypt('x'))).toBe('ERR_STALE')
  })
})
