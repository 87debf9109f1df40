// docs/vectors/delivery.json in every engine: a client from what it kept to the version it may use.
import { expect, test } from 'vitest'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { equal, fromBase64url, fromHex, hex } from '../../shared/bytes.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { openDelivery, type Accepted } from '../../shared/open.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { unwrapCell, unwrapName, unwrapVersion } from '../../shared/unwrap.ts'
import { openWelcome } from '../../shared/welcome.ts'
import { needsRewrap, requireClock, versionToDecrypt, versionToEncrypt } from '../../shared/use.ts'
import vectors from '../../docs/vectors/delivery.json' with { type: 'json' }
import { writeDelivery } from './delivery-body.ts'
import { importRecipient, runCases, type RecipientJson } from './support.ts'

type Json = { [name: string]: Json } | Json[] | string | number

/** RFC 7396, without null. */
function merge(target: Json | undefined, patch: Json): Json {
  if (typeof patch !== 'object' || Array.isArray(patch)) return patch
  const out = typeof target === 'object' && !Array.isArray(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) out[name] = merge(out[name], value)
  return out
}

interface State {
  head: { incarnation: number; version: number; hash: string; issuedAt: number }
  catalog: { number: number; hash: string }
  crls: { issuer: string; number: number }[]
  manifests: { keyring: string; number: number; hash: string }[]
  /** Holds what `delivery` shows. */
  held?: boolean
}

interface Input {
  patch: Json
  state?: State
  use?: { now: number; encrypt?: number; keyId?: string; minVersion?: number; rewrap?: string }
}

const { context } = vectors
const [tenant, now] = [context.tenant, context.now]
const trust = await verifyGenesis(envelopeSchema(context.trust, ''), tenant)
const recipients = await importRecipient(context.recipient as RecipientJson)

function parse(patch: Json): Delivery {
  const { catalog, crls, keyrings, ...rest } = merge(vectors.delivery, patch) as {
    [name: string]: Json
  }
  const orNull = (value: Json | undefined): Json | null | undefined => (value === '' ? null : value)
  const items = (keyrings as { bundle: string; manifest: string; member: Json }[]).map((one) => ({
    ...one,
    bundle: fromBase64url(one.bundle),
    manifest: fromBase64url(one.manifest),
    member: orNull(one.member),
  }))
  const lists = (crls as string[]).map(fromBase64url)
  const delivery = { ...rest, catalog: orNull(catalog), crls: lists, keyrings: items }
  return decodeDelivery(writeDelivery(delivery))
}

async function acceptedOf(state: State): Promise<Accepted> {
  const { accepted } = await openDelivery(parse({}), open(null))
  const { head, catalog, crls, manifests } = state
  return {
    trust,
    head: { ...head, hash: fromHex(head.hash), expiresAt: 0 },
    catalog: {
      body: { ...accepted.catalog.body, number: catalog.number },
      hash: fromHex(catalog.hash),
    },
    crls: Object.fromEntries(crls.map(({ issuer, number }) => [issuer, number])),
    manifests: Object.fromEntries(
      manifests.map(({ keyring, number, hash }) => [keyring, { number, hash: fromHex(hash) }]),
    ),
  }
}

type Held = Parameters<typeof openDelivery>[1]['held']

function open(last: Accepted | null, held: Held = () => null): Parameters<typeof openDelivery>[1] {
  return {
    tenant,
    floor: null,
    packageHash: fromHex(context.packageHash),
    keyrings: context.keyrings.map(fromHex),
    now,
    last,
    trust,
    kept: () => undefined,
    held,
  }
}

/** What a client holds that has accepted `delivery`. */
async function heldAtFirst(): Promise<Held> {
  const { keyrings } = await openDelivery(parse({}), open(null))
  return (id) => {
    const view = keyrings.find((one) => equal(one.id, id))
    return view ? { ...view, members: view.release.members } : null
  }
}

runCases<Input, boolean>('delivery', vectors.cases, async ({ patch, state, use }) => {
  const last = state === undefined ? null : await acceptedOf(state)
  const held = state?.held === true ? await heldAtFirst() : undefined
  const { accepted, keyrings } = await openDelivery(parse(patch), open(last, held))
  for (const view of keyrings) {
    const recipient = {
      tenant,
      fingerprint: fromHex(context.fingerprint),
      packageHash: fromHex(context.packageHash),
      ...recipients[0]!,
    }
    const channel = await openWelcome(view.welcome, view.member, recipient)
    const kek = await unwrapCell(channel.key, view.member.cell)
    expect(await unwrapName(kek, view.bundle)).toBe('notes')
    for (const entry of view.bundle.entries.all()) {
      const version = await unwrapVersion(kek, entry, view.manifest)
      expect(version.key.extractable).toBe(false)
    }
    if (use !== undefined) requireClock(accepted, use.now)
    if (use?.encrypt !== undefined) versionToEncrypt(view, accepted, use.now)
    if (use?.keyId !== undefined) {
      versionToDecrypt(view, accepted, fromHex(use.keyId), use.now, use.minVersion)
    }
    if (use?.rewrap !== undefined) return needsRewrap(view, fromHex(use.rewrap), use.now)
  }
  return undefined
})

test('every step of opening that a delivery can break has a vector that breaks it', () => {
  const tags = new Set(vectors.cases.map(({ comment }) => /^\[(open-\d+)\]/.exec(comment)?.[1]))
  const steps = Array.from({ length: 20 }, (_, i) => `open-${i + 1}`)
  expect(steps.filter((step) => !tags.has(step))).toEqual([])
  expect(hex(trust.hash).length).toBe(64)
})
