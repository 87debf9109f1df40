/** In which order a call is looked at (docs/PROTOCOL.md, "Admission"): what a stranger sends reaches no object, and is not even read. */
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { OCTETS_TYPE, paths, TEXT_TYPE } from '../../shared/api.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { signBody } from '../../shared/credentials.ts'
import { signCall, type Signer } from '../../shared/http-signature.ts'
import app from '../../worker/index.ts'
import { enrol, pushAll, toJson } from '../lib/calls.ts'
import { publish } from '../lib/publication.ts'
import { makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'
import { relay } from './relay.ts'

let world: World
let alice: Client
let steps: string[]

beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
  await pushAll(relay, world, await publish(world, []), null)
  steps = []
})

/** The real bindings, with a note of each use. */
function noted(): Env {
  return {
    ...env,
    RATE: {
      limit: async (options: { key: string }) => {
        steps.push('rate')
        return env.RATE!.limit(options)
      },
    },
    TENANT: {
      getByName: (name: string) => {
        steps.push('object')
        return env.TENANT.getByName(name)
      },
    } as Env['TENANT'],
  }
}

function close(controller: ReadableByteStreamController): void {
  controller.close()
  controller.byobRequest?.respond(0)
}

/** Sends a batch whose reading is noted; returns the status. `claimed` is the body that is signed. */
async function call(signer: Signer | null, body: Bytes, claimed = body): Promise<number> {
  const url = new URL(paths.objects(world.tenant), relay.url)
  const signed =
    signer === null ? {} : await signCall({ method: 'POST', url, body: claimed }, signer, world.now)
  let isSent = false
  // As the platform's own bodies: a stream of bytes.
  const stream = new ReadableStream({
    type: 'bytes',
    pull: (controller: ReadableByteStreamController) => {
      if (!isSent) steps.push('body')
      if (isSent) close(controller)
      // What is sent is given away.
      else controller.enqueue(body.slice())
      isSent = true
    },
  })
  const headers = {
    ...signed,
    'content-type': OCTETS_TYPE,
    'cf-connecting-ip': random(4).join('.'),
  }
  const request = new Request(url, { method: 'POST', body: stream, headers })
  return (await app.fetch(request, noted())).status
}

const batch = encodeBatch([new Uint8Array(9)])

describe('order', () => {
  it('[relay-3] a call without signature costs nothing', async () => {
    expect(await call(null, batch)).toBe(401)
    expect(steps).toEqual([])
  })

  it('[relay-3] a signature that does not verify costs a call of the limiter', async () => {
    // The certificates of a deriver are no secret.
    const thief = { key: alice.signer.key, certificates: world.deriver.certificates }
    expect(await call(thief, batch)).toBe(401)
    // The limiter is not even asked about a certificate that was admitted lately.
    expect(steps).toEqual([])
    const stranger = await makeWorld()
    const other = { key: alice.signer.key, certificates: stranger.deriver.certificates }
    expect(await call(other, batch)).toBe(401)
    expect(steps).toEqual(['rate'])
  })

  it('[relay-4] a stranger costs one call of the limiter, and reads no body', async () => {
    const stranger = await makeWorld()
    expect(await call(stranger.deriver, batch)).toBe(404)
    expect(steps.filter((step) => step !== 'object')).toEqual(['rate'])
    expect(steps.filter((step) => step === 'object').length).toBeLessThanOrEqual(1)
  })

  it('[relay-2] a body is read when its caller is admitted, and hashed before an object stores it', async () => {
    expect(await call(world.deriver, encodeBatch([random(9)]), batch)).toBe(401)
    // The object may have been asked who is admitted; it is not asked to store.
    expect(steps.at(-1)).toBe('body')
    steps = []
    expect(await call(world.deriver, batch)).toBe(204)
    expect(steps.slice(-2)).toEqual(['body', 'object'])
  })

  it('[relay-3] what a client posts reaches no object before its signature verifies', async () => {
    const url = new URL(paths.calls(world.tenant), relay.url)
    const post = async (signer: Signer): Promise<number> => {
      const ask = toJson({ after: '', call: 'wait', seconds: 0 })
      const body = await signBody({ method: 'POST', url, body: ask }, signer, world.now)
      const headers = { 'content-type': TEXT_TYPE, 'cf-connecting-ip': random(4).join('.') }
      return (await app.fetch(new Request(url, { method: 'POST', body, headers }), noted())).status
    }
    const stranger = await makeWorld()
    const eve = await makeClient(stranger, 'eve')
    expect(await post({ key: alice.signer.key, certificates: eve.signer.certificates })).toBe(401)
    expect(steps).toEqual(['rate'])
    steps = []
    expect(await post(eve.signer)).toBe(404)
    expect(steps.filter((step) => step === 'rate')).toEqual(['rate'])
    expect(await post(alice.signer)).toBe(200)
  })

  it('an enrolment is braked before its body is read', async () => {
    const request = new Request(new URL(paths.tenants, relay.url), {
      method: 'POST',
      body: new ReadableStream({
        type: 'bytes',
        pull: (controller: ReadableByteStreamController) => {
          steps.push('body')
          close(controller)
        },
      }),
      headers: { 'content-type': 'application/json', 'cf-connecting-ip': random(4).join('.') },
    })
    expect((await app.fetch(request, noted())).status).toBe(400)
    expect(steps).toEqual(['rate', 'body'])
  })

  it('asking for health costs a call of an object every few seconds', async () => {
    const url = new URL(paths.health, relay.url)
    for (let i = 0; i < 5; i++)
      expect((await app.fetch(new Request(url), noted())).status).toBe(200)
    expect(steps.length).toBeLessThanOrEqual(1)
  })
})
