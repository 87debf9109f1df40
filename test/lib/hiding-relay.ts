/**
 * A relay between a real deriver and real clients, in one `fetch` on the test's clock, that forgets nothing, can show a client an older state for
 * ever, refuse what it has read, repeat what it was asked, and change what it delivers.
 */
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import {
  answersSchema,
  decodeBatch,
  pushSchema,
  type Push,
  type RequestBody,
} from '../../shared/deriver-calls.ts'
import { MEMBER_LEAF } from '../../shared/bundle.ts'
import { equal, fromBase64url, hex, type Bytes } from '../../shared/bytes.ts'
import { callSchema, type DeliveryRequest } from '../../shared/client-calls.ts'
import { envelopeSchema, type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { parseJson } from '../../shared/json.ts'
import { KEYRING_LEAF } from '../../shared/manifest.ts'
import { decodeRelease } from '../../shared/release.ts'
import { parseIndex, parsePage, proveFromPages } from '../../shared/tree.ts'
import { type Proof } from '../../shared/tree-proof.ts'
import { toJson } from './calls.ts'
import { askedIn } from './client-call.ts'
import { answerDelivery } from '../vectors/delivery-body.ts'

/** What comes with a head. */
export type Pushed = Push & { catalog: Envelope }

/** How many pushes, or trust documents, before the newest one each part of a delivery is. */
export type Mix = Record<'catalog' | 'crls' | 'head' | 'manifest' | 'release' | 'trust', number>

export class HidingRelay {
  /** Every state that a deriver pushed, oldest first. */
  readonly pushes: Pushed[] = []
  readonly refusals: Envelope[] = []
  /** It delivers the refusals of the last calls, to everybody and again and again. */
  givesRefusals = false
  trusts: Envelope[] = []
  /** Index of the push that clients are shown; `undefined` for the newest. */
  shown: number | undefined
  /** The network is down for clients. */
  isDown = false
  /** It reads heads, and says no. */
  isRefusing = false
  /** Changes what a client is given. */
  twist: (delivery: Delivery, ask: DeliveryRequest) => Delivery | Promise<Delivery> = (delivery) =>
    delivery
  /** Everything that was ever uploaded, by its hash in hex. */
  readonly objects = new Map<string, Bytes>()
  /** Every request of a client, in the order of the mailbox. */
  readonly requests: RequestBody[] = []
  /** It keeps requests back. */
  isHolding = false
  readonly held: RequestBody[] = []
  /** Heads that it read and refused. */
  readonly refused: Pushed[] = []
  #done = 0

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(input as string | URL)
    const call = url.pathname.split('/').at(-1)
    if (call === 'requests') {
      const after = Math.max(this.#done, Number(url.searchParams.get('after')))
      const requests = this.requests.slice(after, after + 100)
      return new Response(toJson({ next: after + requests.length, requests }))
    }
    const body = init!.body as Bytes
    if (call === 'objects') {
      for (const one of decodeBatch(body)) this.objects.set(hex(sha256(one)), one.slice())
      return new Response(null, { status: 204 })
    }
    const json = call === 'calls' ? askedIn(body) : parseJson(body, 10_000_000)
    if (call === 'trust') {
      const document = envelopeSchema(json, '')
      const { number } = parseJson(document.payload, 65_536) as { number: number }
      this.trusts[number - 1] = document
      return new Response(null, { status: 204 })
    }
    if (call === 'push') {
      const push = pushSchema(json, '')
      const pushes = this.isRefusing ? this.refused : this.pushes
      pushes.push({ ...push, catalog: push.catalog! })
      if (this.isRefusing) return new Response(null, { status: 500 })
      return new Response(null, { status: 204 })
    }
    if (call === 'answers') {
      const { done, refusals } = answersSchema(json, '')
      this.#done = Math.max(this.#done, done)
      this.refusals.push(...refusals)
      return new Response(null, { status: 204 })
    }
    if (this.isDown) throw new TypeError('no network')
    const asked = callSchema(json, '')
    if (asked.call === 'request') {
      const mailbox = this.isHolding ? this.held : this.requests
      mailbox.push({ package: asked.package, request: asked.request })
      return new Response(null, { status: 202 })
    }
    if (asked.call === 'delivery') return this.#deliver(asked)
    throw new TypeError(`no ${asked.call} here`)
  }

  #place(index: Bytes, length: number, matches: (leaf: Bytes) => boolean) {
    const tree = parseIndex(this.objects.get(hex(index))!, length)
    for (const [number, hash] of tree.pages.entries()) {
      const page = parsePage(this.objects.get(hex(hash))!, length)
      const at = page.leaves.findIndex(matches)
      if (at < 0) continue
      const proof: Proof = proveFromPages(tree, page, number * 256 + at)
      return { leaf: page.leaves[at]!.slice(), proof }
    }
    return undefined
  }

  /** Release and manifest of a keyring as a push has them, with their proofs. */
  shows(push: Pushed, keyring: Bytes) {
    const indexOf = (envelope: Envelope, name: string): Bytes => {
      const tree = (parseJson(envelope.payload, 65_536) as Record<string, { index: string }>)[name]!
      return fromBase64url(tree.index)
    }
    const isOf = (leaf: Bytes): boolean => equal(leaf.subarray(0, 16), keyring)
    const release = this.#place(indexOf(push.head, 'releases'), KEYRING_LEAF, isOf)
    const manifest = this.#place(indexOf(push.catalog, 'manifests'), KEYRING_LEAF, isOf)
    if (!release || !manifest) return undefined
    const bytes = this.objects.get(hex(release.leaf.subarray(16)))!
    return {
      bytes,
      release: decodeRelease(bytes),
      releaseProof: release.proof,
      manifestProof: manifest.proof,
    }
  }

  /** A keyring as a push shows it to the member that asks. */
  item(push: Pushed, keyring: Bytes, packageHash: Bytes): DeliveredKeyring | undefined {
    const shown = this.shows(push, keyring)
    if (shown === undefined || packageHash.length === 0) return undefined
    const { release, bytes, releaseProof, manifestProof } = shown
    const isMember = (leaf: Bytes): boolean => equal(leaf.subarray(0, 32), packageHash)
    const member = this.#place(release.members.index, MEMBER_LEAF, isMember)
    if (member === undefined) return undefined
    const give = (hash: Bytes): Bytes => this.objects.get(hex(hash))!
    return {
      bundle: give(release.bundle),
      keyring,
      manifest: give(release.manifest),
      manifestProof,
      member,
      release: bytes,
      releaseProof,
      welcome: give(member.leaf.slice(64, 96)),
    }
  }

  /** A delivery of documents of different pushes, each so many before the newest; and the last so many trust documents left out. */
  mix(ask: DeliveryRequest, back: Mix): Delivery {
    const at = (steps: number): Pushed => this.pushes[Math.max(0, this.pushes.length - 1 - steps)]!
    const trusts = this.trusts.slice(0, Math.max(1, this.trusts.length - back.trust))
    const keyrings = ask.keyrings.flatMap((id) => {
      const item = this.item(at(back.release), id, ask.package)
      const other = this.item(at(back.manifest), id, ask.package)
      if (item === undefined || other === undefined) return []
      const { manifest, manifestProof } = other
      return { ...item, manifest, manifestProof }
    })
    return {
      catalog: at(back.catalog).catalog,
      crls: at(back.crls).crls,
      head: at(back.head).head,
      keyrings,
      refusals: [],
      trust: trusts.slice(ask.have.trust),
    }
  }

  async #deliver(ask: DeliveryRequest): Promise<Response> {
    const push = this.pushes.at(this.shown ?? -1)!
    const delivery: Delivery = {
      catalog: push.catalog,
      crls: push.crls,
      head: push.head,
      keyrings: ask.keyrings.flatMap((id) => this.item(push, id, ask.package) ?? []),
      refusals: this.givesRefusals ? this.refusals.slice(-64) : [],
      trust: this.trusts.slice(ask.have.trust),
    }
    return answerDelivery(await this.twist(delivery, ask))
  }
}
