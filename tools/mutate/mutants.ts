/** Mutants of a TypeScript file: each is the file with one check gone. */
import { parseAst } from 'vite'

/** One mutant. `line` counts from 1; `id` names it by what it changes, so that lists of them survive other edits of the file. */
export interface Mutant {
  line: number
  start: number
  end: number
  text: string
  id: string
}

interface Node {
  type: string
  start: number
  end: number
  [name: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

function* nodesOf(node: Node): Generator<Node> {
  yield node
  for (const value of Object.values(node)) {
    for (const one of Array.isArray(value) ? value : [value]) if (isNode(one)) yield* nodesOf(one)
  }
}

/** Whether a branch leaves: a throw, a return, a continue, alone or at the end of a block. */
function leaves(branch: Node): boolean {
  const last = branch.type === 'BlockStatement' ? (branch['body'] as Node[]).at(-1) : branch
  return ['ThrowStatement', 'ReturnStatement', 'ContinueStatement'].includes(last?.type ?? '')
}

/**
 * Every check of a file that can be taken away: an `if` that leaves never does, an operand of `&&` is true, one of `||` is false, and a lone `throw` is
 * not there.
 */
export function mutantsOf(code: string): Mutant[] {
  const program = parseAst(code, { lang: 'ts' }) as unknown as Node
  const found = new Map<string, Mutant>()
  const add = ({ start, end }: Node, text: string): void => {
    const line = code.slice(0, start).split('\n').length
    const whole = code.split('\n')[line - 1]!.trim()
    const id = `${whole} :: ${code.slice(start, end).replaceAll(/\s+/g, ' ')} => ${text}`
    found.set(`${start} ${end}`, { line, start, end, text, id })
  }
  const guarded = new Set<Node>()
  for (const node of nodesOf(program)) {
    if (node.type === 'IfStatement') {
      const branch = node['consequent'] as Node
      if (leaves(branch)) add(node['test'] as Node, 'false')
      guarded.add(branch)
      if (branch.type === 'BlockStatement')
        for (const one of branch['body'] as Node[]) guarded.add(one)
    }
    if (node.type === 'LogicalExpression' && node['operator'] !== '??') {
      const neutral = node['operator'] === '&&' ? 'true' : 'false'
      for (const side of ['left', 'right']) {
        const operand = node[side] as Node
        const isSame =
          operand.type === 'LogicalExpression' && operand['operator'] === node['operator']
        if (!isSame) add(operand, neutral)
      }
    }
    if (node.type === 'ThrowStatement' && !guarded.has(node)) add(node, ';')
  }
  return [...found.values()].toSorted((a, b) => a.start - b.start)
}
