/** Proofs in RFC 6962 §2.1 trees, as clients check them (docs/PROTOCOL.md, "Trees"); tree.ts makes the trees. */
import { concat, equal, type Bytes } from './bytes.ts'
import { digest } from './digest.ts'
import { KeyferryError } from './errors.ts'

/** An RFC 6962 audit path: `path` lists the siblings from the leaf up. */
export interface Proof {
  index: number
  path: Bytes[]
}

/** What is hashed of a leaf. */
export function leafOf(leaf: Uint8Array): Bytes {
  return concat(Uint8Array.of(0), leaf)
}

/** What is hashed of a node. */
export function nodeOf(left: Uint8Array, right: Uint8Array): Bytes {
  return concat(Uint8Array.of(1), left, right)
}

/** Checks that `leaf` is at `proof.index` of the tree with this size and root. Throws `ERR_HASH`. */
export async function verifyLeaf(
  leaf: Bytes,
  proof: Proof,
  size: number,
  root: Bytes,
): Promise<void> {
  // PROTOCOL [tree-1]
  if (proof.index >= size) throw new KeyferryError('ERR_HASH', 'index beyond the tree')
  let hash = await digest(leafOf(leaf))
  let used = 0
  let i = proof.index
  for (let n = size; n > 1; n = Math.ceil(n / 2)) {
    if ((i ^ 1) >>> 0 < n) {
      const sibling = proof.path[used++]
      if (sibling === undefined) throw new KeyferryError('ERR_HASH', 'audit path too short')
      hash = await digest(i % 2 === 0 ? nodeOf(hash, sibling) : nodeOf(sibling, hash))
    }
    i >>>= 1
  }
  if (used !== proof.path.length) throw new KeyferryError('ERR_HASH', 'audit path too long')
  if (!equal(hash, root)) throw new KeyferryError('ERR_HASH', 'not a leaf of the signed tree')
}
