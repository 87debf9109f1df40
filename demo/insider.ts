/**
 * The relay's dishonest side in the demo: every way in which it can misbehave bends what the honest relay answers to a client. Nothing here is part of the
 * product; what refuses it is the client.
 */
import { type DeliveredKeyring, type Delivery } from '../shared/delivery.ts'
import { MEMBER_LEAF } from '../shared/bundle.ts'
import { equal } from '../shared/bytes.ts'
import { type DeliveryRequest } from '../shared/client-calls.ts'
import { documentHash } from '../shared/document-hash.ts'
import { encodeJson, parseJson } from '../shared/json.ts'
import { MAX_ENVELOPE } from '../shared/limits.ts'
import { decodeRelease } from '../shared/release.ts'
import { buildTree, proveLeaf } from '../shared/tree.ts'
import { signHead, type OwnKeys } from './insider-keys.ts'

/** What the relay can do wrong, one at a time. */
export const ATTACKS = [
  'deriver',
  'old',
  'label',
  'member',
  'signature',
  'revocation',
  'split',
  'tenant',
] as const
export type Attack = (typeof ATTACKS)[number]

/** A client's call for a delivery and what is known about it. */
export interface Exchange {
  ask: DeliveryRequest
  /** What the honest relay answers; `null` for nothing new. */
  honest: Delivery | null
  /** The last two different honest answers that this client was given, older first. */
  past: readonly Delivery[]
  /** The client is the one that a split keeps behind. */
  isPicked: boolean
}

/** A delivery, or something like one. */
export type Bent = Omit<Delivery, 'head'> & { head: object }

/** The head before the last one, once the client has accepted the last one. */
function older({ ask, honest, past }: Exchange): Bent | null {
  const [before, last] = past
  if (before === undefined || last === undefined) return honest
  return equal(ask.have.head, documentHash(last.head)) ? { ...before, trust: [] } : honest
}

/** The release and leaf of a keyring whose members are the client and the insider's own device. */
function withMember(item: DeliveredKeyring, own: OwnKeys): DeliveredKeyring {
  const leaf = item.member?.leaf
  const leaves = leaf === undefined ? [own.member] : [leaf, own.member]
  const members = buildTree(leaves, MEMBER_LEAF).head
  const release = encodeJson({ ...decodeRelease(item.release), members })
  const member = leaf === undefined ? null : { leaf, proof: proveLeaf(leaves, 0) }
  return { ...item, release, member }
}

/** What a client is given in place of the honest answer; `null` for nothing new. */
export async function bend(attack: Attack, exchange: Exchange, own: OwnKeys): Promise<Bent | null> {
  const { honest, isPicked } = exchange
  if (attack === 'old') return older(exchange)
  if (attack === 'revocation' || (attack === 'split' && isPicked)) return null
  if (attack === 'split' || honest === null) return honest
  const { head, keyrings } = honest
  switch (attack) {
    case 'deriver': {
      const body = parseJson(head.payload, MAX_ENVELOPE) as object
      return { ...honest, head: await signHead(body, own.signer) }
    }
    case 'label': {
      const shifted = keyrings.map(({ keyring }, i) => ({
        ...keyrings[(i + 1) % keyrings.length]!,
        keyring,
      }))
      return { ...honest, keyrings: shifted }
    }
    case 'member':
      return { ...honest, keyrings: keyrings.map((item) => withMember(item, own)) }
    case 'signature':
      return { ...honest, head: { ...head, signatures: [] } }
    case 'tenant':
      return { ...honest, trust: [own.other.trust], head: own.other.head }
  }
}

/** What the relay does at present. */
export interface Playing {
  attack: Attack
  /** Name of who asked for it; a split keeps this one behind. */
  by: string
}

/** The insider at work: what it does now, and what it gave to whom. */
export class Insider {
  readonly #own: OwnKeys
  /** By name of the client, at most two. */
  readonly #past = new Map<string, Delivery[]>()
  playing: Playing | null = null

  constructor(own: OwnKeys) {
    this.#own = own
  }

  /** Answers a client by its name. */
  async answer(
    client: string,
    ask: DeliveryRequest,
    honest: Delivery | null,
  ): Promise<Bent | null> {
    const { playing } = this
    const past = this.#past.get(client) ?? []
    const given =
      playing === null
        ? honest
        : await bend(
            playing.attack,
            { ask, honest, past, isPicked: client === playing.by },
            this.#own,
          )
    if (honest !== null && given === honest) this.#remember(client, past, honest)
    return given
  }

  #remember(client: string, past: readonly Delivery[], given: Delivery): void {
    const hash = documentHash(given.head)
    const others = past.filter(({ head }) => !equal(documentHash(head), hash))
    this.#past.set(client, [...others, given].slice(-2))
  }
}
