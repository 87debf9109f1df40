/** Heads that one deriver signs one after another, with whatever they commit to: what statements about its log are made of. */
import { type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type LogEvidenceBody, type Statement } from '../../shared/log-evidence.ts'
import { KEYRING_LEAF, keyringLeaf } from '../../shared/manifest.ts'
import { type HeadBody } from '../../shared/release.ts'
import { buildTree, proveLeaf, treeRoot } from '../../shared/tree.ts'
import { makeKeyring, publish, type Keyring } from './publication.ts'
import { signHead } from './thief.ts'
import { crlsOf, type World } from './world.ts'

/** A head with the entries of its log and its releases. */
export interface Shown {
  head: Envelope
  body: HeadBody
  log: Bytes[]
  releases: Bytes[]
}

/** The head of a log and releases that a test chooses, signed with the deriver's key. */
export async function showing(
  world: World,
  from: HeadBody,
  log: Bytes[],
  releases: readonly { keyring: Bytes; bytes: Bytes }[],
): Promise<Shown> {
  const leaves = releases.map(({ keyring, bytes }) => keyringLeaf(keyring, sha256(bytes)))
  const body = {
    ...from,
    log: { root: treeRoot(log), size: log.length },
    releases: buildTree(leaves, KEYRING_LEAF).head,
    version: from.version + 1_000,
  }
  const head = await signHead(body, world.deriver)
  return { head, body, log, releases: releases.map(({ bytes }) => bytes) }
}

/** Heads of a growing log: keyrings come and change. */
export async function history(world: World): Promise<{ heads: Shown[]; keyrings: Keyring[] }> {
  const keyrings: Keyring[] = []
  const heads: Shown[] = []
  for (let version = 1; version <= 5; version++) {
    if (version % 2 === 1) keyrings.push(makeKeyring(`k${version}`))
    else keyrings[0]!.generation++
    keyrings.sort((a, b) => Buffer.compare(a.id, b.id))
    const { head, body, releases } = await publish(world, keyrings, { version })
    const bytes = keyrings.map((one) => releases.get(one)!.bytes)
    heads.push({ head, body, log: [...world.log], releases: bytes })
  }
  return { heads, keyrings }
}

/** That an entry stands in the log of a head. */
export function entryOf({ head, log }: Shown, index: number): Statement {
  return { head, leaf: log[index]!, of: 'log', proof: proveLeaf(log, index) }
}

/** That a release stands under a head. */
export function releaseOf({ head, releases }: Shown, place: number): Statement {
  const leaves = releases.map((bytes) => {
    const { keyring } = JSON.parse(new TextDecoder().decode(bytes)) as { keyring: string }
    return keyringLeaf(new Uint8Array(Buffer.from(keyring, 'base64url')), sha256(bytes))
  })
  return { head, leaf: releases[place]!, of: 'releases', proof: proveLeaf(leaves, place) }
}

/** A file's body over two statements. */
export function evidenceOf(world: World, known: Statement, other: Statement): LogEvidenceBody {
  const { now, tenant, trusts } = world
  return { at: now, crls: crlsOf(world), known, other, tenant, trust: trusts }
}
