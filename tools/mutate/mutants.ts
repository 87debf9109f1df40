/** Mutants of a TypeScript file: each is the file with one check gone. */
import { parseAst } from 'vite'

/** One mutant. `line` counts from 1; `id` names it by what it changes, so that lists of them survive other edits of the file. */
export interface Mutant {
  line: number
  start: number
  end: number
  /** What stands there instead: `true`, `false`, or `;` for a statement that is gone. */
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
  return [...found.values()].toSorted((a, b) => a.start - b.start || b.end - a.end)
}

/** A file with all its mutants in it, each behind the switch of its number: `first` and those after it. `path` is that of the file in the tree. */
export function instrument(
  path: string,
  code: string,
  mutants: readonly Mutant[],
  first: number,
): string {
  let next = 0
  const write = (start: number, end: number): string => {
    let text = ''
    let at = start
    while (next < mutants.length && mutants[next]!.start < end) {
      const mutant = mutants[next]!
      const isOn = `__isOn(${first + next++})`
      text += code.slice(at, mutant.start)
      const inner = write(mutant.start, mutant.end)
      text +=
        mutant.text === ';' ? `if (!${isOn}) ${inner}` : `(${isOn} ? ${mutant.text} : (${inner}))`
      at = mutant.end
    }
    return text + code.slice(at, end)
  }
  const up = '../'.repeat(path.split('/').length - 1)
  return `import { isOn as __isOn } from '${up}tools/mutate/switch.ts'\n${write(0, code.length)}`
}
