/** What a client does while its first call is out: it reads and verifies what the answer will have again, and nothing depends on it. */
import { expect, it, onTestFinished, vi } from 'vitest'
import { rememberSignatures } from '../../shared/certificate-signature.ts'
import { decodeEnvelope } from '../../shared/envelope.ts'
import { verifyHeadSignature } from '../../shared/release.ts'
import { createMemoryStore } from '../../web/index.ts'
import { emptyState } from '../../web/store.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { useWebCryptoAlone } from '../lib/web-crypto.ts'

type Ahead = typeof import('../../web/ahead.ts')

const asked = vi.fn()
vi.mock('../../web/ahead.ts', () => ({ lookAhead: asked }))
const { lookAhead } = await vi.importActual<Ahead>('../../web/ahead.ts')

async function stateAfterVisit() {
  const [relay, store] = [await ClientRelay.start(), createMemoryStore()]
  const client = await relay.connect({ store })
  await client.keyring('notes')
  client.close()
  return { relay, state: (await store.read())! }
}

it('what it verified of the kept head is not verified again, and without lists it comes to no end', async () => {
  const { relay, state } = await stateAfterVisit()
  const check = vi.spyOn(useWebCryptoAlone(), 'verify')
  onTestFinished(() => void vi.restoreAllMocks())
  const verify = rememberSignatures()
  await expectCode(lookAhead(state, verify), 'ERR_CRL')
  const ahead = check.mock.calls.length
  expect(ahead).toBeGreaterThan(0)
  await lookAhead(state, verify)
  expect(check).toHaveBeenCalledTimes(ahead)
  const count = async (by: typeof verify): Promise<number> => {
    check.mockClear()
    const { crls } = relay.publication!
    const { trust } = state.accepted!
    await verifyHeadSignature(decodeEnvelope(state.head), {
      trust,
      now: relay.now,
      crls,
      verify: by,
    })
    return check.mock.calls.length
  }
  expect(await count(verify)).toBe((await count(rememberSignatures())) - ahead)
})

it('where nothing was accepted yet there is nothing to look at', async () => {
  const verify = vi.fn<ReturnType<typeof rememberSignatures>>()
  await lookAhead(emptyState(), verify)
  expect(verify).not.toHaveBeenCalled()
})

it('a client asks for it when its call is out, and goes on whatever comes of it', async () => {
  const relay = await ClientRelay.start()
  const sent: number[] = []
  asked.mockImplementation(() => {
    sent.push(relay.deliveries.length)
    throw new Error('it did not even begin')
  })
  onTestFinished(() => void asked.mockReset())
  const client = await relay.connect({
    fetch: async (...call) => {
      const answer = relay.fetch(...call)
      // Time enough for it.
      await new Promise((resolve) => setTimeout(resolve, 20))
      return answer
    },
  })
  onTestFinished(() => client.close())
  const notes = await client.keyring('notes')
  await client.refresh()
  expect(notes.state).toBe('ready')
  // The first answer grants nothing yet.
  expect(sent[0]).toBe(1)
  expect(sent.length).toBe(relay.deliveries.length)
})
