/** Requests of clients at a relay's mailbox, and the deriver's answers. */
import { paths } from '../../shared/api.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { type KeyRequestBody } from '../../shared/key-package.ts'
import { enrol, send, sendCall, toJson, type Answer, type Relay } from './calls.ts'
import { makeRequest } from './documents.ts'
import { makeClient, makeWorld, random, type Client, type World } from './world.ts'

/** `relay` is looked at with each call: tests start it later. */
export function mailboxCalls(relay: () => Relay) {
  const post = (
    world: World,
    signer: Signer,
    body: { package: Envelope; request: Envelope },
  ): Promise<Answer> => sendCall(relay(), world, signer, { call: 'request', ...body })

  return {
    post,

    start: async (): Promise<{ world: World; alice: Client }> => {
      const world = await makeWorld()
      await enrol(relay(), world)
      return { world, alice: await makeClient(world, 'alice') }
    },

    ask: async (
      world: World,
      client: Client,
      changes: Partial<KeyRequestBody> = {},
    ): Promise<Answer> => {
      const request = await makeRequest(world, client, [random(16)], changes)
      return post(world, client.signer, { package: client.package, request })
    },

    answer: (world: World, done: number, refusals: Envelope[] = []): Promise<Answer> =>
      send(relay(), paths.answers(world.tenant), world.deriver, {
        body: toJson({ done, refusals }),
      }),
  }
}
