/** A client's place among the members of a keyring (docs/PROTOCOL.md [open-14]). */
import type { DeliveredKeyring } from './delivery.ts'
import { decodeMember, type MemberLeaf } from './bundle.ts'
import { equal } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { verifyLeaf } from './tree-proof.ts'
import type { TreeHead } from './tree.ts'

/** A client's leaf, and the tree of members that it was found in. */
export interface HeldMember {
  member: MemberLeaf
  slot: number
  /** Absent where an earlier version kept it. */
  members?: TreeHead | undefined
}

/** The client's leaf in a tree: delivered, or held since it was found in the same one. Throws `ERR_HASH`. */
export async function openMember(
  { member: delivered }: Pick<DeliveredKeyring, 'member'>,
  { root, size }: TreeHead,
  held: HeldMember | null,
): Promise<Omit<HeldMember, 'members'>> {
  // PROTOCOL [open-14]
  if (delivered) {
    const { leaf, proof } = delivered
    await verifyLeaf(leaf, proof, size, root)
    return { member: decodeMember(leaf), slot: proof.index }
  }
  if (held?.members?.size !== size || !equal(held.members.root, root))
    throw new KeyferryError('ERR_HASH')
  return held
}
