// Inclusion proofs of transparency-dev/merkle through our audit paths. Consistency proofs are no part of the protocol, so those cases do not apply.
import merkle from 'virtual:suite/merkle/merkle'
import { fromHex, type Bytes } from '../../../shared/bytes.ts'
import { isKeyferryError } from '../../../shared/errors.ts'
import { leafHash } from '../../../shared/tree.ts'
import { verifyLeaf } from '../../../shared/tree-proof.ts'
import { conform } from './support.ts'

interface Case {
  kind: string
  leafIdx: number
  treeSize: number
  root: string
  leafHash: string
  proof: string[] | null
  wantErr: boolean
}

const decode = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
const encode = (bytes: Bytes): string => btoa(String.fromCharCode(...bytes))

// The cases give hashes of leaves only; these are the leaves of Certificate Transparency's reference tree.
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(fromHex)
const known = new Map(LEAVES.map((leaf) => [encode(leafHash(leaf)), leaf]))

conform<Case[], Case>(
  '[tree-1] RFC 6962 inclusion proofs',
  merkle,
  (all) => all.filter(({ kind }) => kind === 'inclusion'),
  async (one) => {
    const leaf = known.get(one.leafHash)
    if (leaf === undefined) return undefined
    const proof = { index: one.leafIdx, path: (one.proof ?? []).map(decode) }
    try {
      await verifyLeaf(leaf, proof, one.treeSize, decode(one.root))
      return !one.wantErr
    } catch (error) {
      return one.wantErr && isKeyferryError(error, 'ERR_HASH')
    }
  },
)
