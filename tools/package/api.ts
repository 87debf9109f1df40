/**
 * What the types of an entry of the package say: every exported name, and every declaration that these mention, out of the emitted `.d.ts` files.
 * Nothing else of those files can be reached by who imports the package.
 */
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseSync } from 'vite'

interface Node {
  type: string
  start: number
  end: number
}
interface Declaration {
  text: string
  /** Names that the declaration mentions. */
  mentions: Set<string>
}
interface Origin {
  module: string
  name: string
}
interface Module {
  /** By name; several for overloads. */
  declarations: Map<string, Declaration[]>
  /** What a name that is imported stands for; `null` for another package. */
  imports: Map<string, Origin | null>
  exports: Map<string, Origin>
}

/** One entry's public types. */
export interface Api {
  text: string
  exported: string[]
  /** Names that can be reached, but not imported. */
  hidden: string[]
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value

/** All identifiers below a node that may name a declaration. */
function mentionsOf(node: Node, found: Set<string> = new Set()): Set<string> {
  if (node.type === 'Identifier') found.add((node as Node & { name: string }).name)
  if (node.type === 'TSImportType') found.add('import()')
  const isPlain = (node as { computed?: boolean }).computed !== true
  for (const [field, value] of Object.entries(node)) {
    if (field === 'key' && isPlain) continue
    for (const one of Array.isArray(value) ? value : [value])
      if (isNode(one)) mentionsOf(one, found)
  }
  return found
}

/** Reads the emitted declarations of a module; `path` without `.d.ts`. */
function readModule(path: string): Module {
  const source = readFileSync(`${path}.d.ts`, 'utf8')
  const { program, comments, errors } = parseSync(`${path}.d.ts`, source, { lang: 'dts' })
  if (errors.length > 0) throw new Error(`${path}.d.ts: ${errors[0]!.message}`)
  const from = (specifier: string): string => join(dirname(path), specifier.replace(/\.js$/, ''))
  const module: Module = { declarations: new Map(), imports: new Map(), exports: new Map() }
  const declare = (name: string, node: Node, statement: Node): void => {
    const comment = comments.findLast(
      ({ end }) => end <= statement.start && source.slice(end, statement.start).trim() === '',
    )
    const doc = comment?.value.startsWith('*') ? `/*${comment.value}*/\n` : ''
    const text = doc + source.slice(node.start, node.end).replace(/^declare /, '')
    const known = module.declarations.get(name) ?? []
    module.declarations.set(name, [...known, { text, mentions: mentionsOf(node) }])
  }
  const declareAll = (node: Node, statement: Node): string[] => {
    const { declarations, id } = node as unknown as {
      declarations?: { id: { name: string } }[]
      id?: { name: string }
    }
    const names = declarations?.map((one) => one.id.name) ?? [id!.name]
    for (const name of names) declare(name, node, statement)
    return names
  }
  for (const statement of program.body) {
    if (statement.type === 'ImportDeclaration') {
      const { value } = statement.source
      for (const one of statement.specifiers) {
        const name = one.type === 'ImportSpecifier' ? (one.imported as { name: string }).name : '*'
        const origin = value.startsWith('.') ? { module: from(value), name } : null
        module.imports.set(one.local.name, origin)
      }
    } else if (statement.type === 'ExportNamedDeclaration') {
      if (statement.declaration !== null)
        for (const name of declareAll(statement.declaration, statement))
          module.exports.set(name, { module: path, name })
      for (const { local, exported } of statement.specifiers) {
        const [name, as] = [local, exported].map((one) => (one as { name: string }).name)
        const origin = statement.source === null ? path : from(statement.source.value)
        module.exports.set(as!, { module: origin, name: name! })
      }
    } else if (statement.type.startsWith('TS') || statement.type.endsWith('Declaration')) {
      if ('id' in statement || 'declarations' in statement) declareAll(statement, statement)
    }
  }
  return module
}

/** The public types of an entry; `root` is where the package was built, `entry` its `.d.ts` file. */
export function describeApi(root: string, entry: string): Api {
  const modules = new Map<string, Module>()
  const load = (path: string): Module => {
    const module = modules.get(path) ?? readModule(path)
    modules.set(path, module)
    return module
  }
  const resolve = ({ module, name }: Origin): Origin | null => {
    const { declarations, exports, imports } = load(module)
    if (declarations.has(name)) return { module, name }
    const next = exports.get(name) ?? imports.get(name)
    return next ? resolve(next) : null
  }
  const top = join(root, entry.replace(/\.d\.ts$/, ''))
  const exported = [...load(top).exports.keys()].toSorted()
  const found = new Map<string, Map<string, Declaration[]>>()
  const names = new Set<string>()
  const visit = (origin: Origin): void => {
    const at = resolve(origin)
    if (at === null) return
    const here = found.get(at.module) ?? new Map<string, Declaration[]>()
    found.set(at.module, here)
    if (here.has(at.name)) return
    const { declarations, imports } = load(at.module)
    here.set(at.name, declarations.get(at.name)!)
    names.add(at.name)
    for (const { mentions } of here.get(at.name)!) {
      if (mentions.has('import()'))
        throw new Error(`${at.name} of ${at.module}: an inferred type in public: write it down`)
      for (const name of mentions)
        if (declarations.has(name) || imports.get(name)) visit({ module: at.module, name })
    }
  }
  for (const name of exported) visit({ module: top, name })
  const parts = [...found]
    .map(([path, declarations]) => ({ path: relative(root, path), declarations }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, declarations }) => {
      const texts = [...declarations]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .flatMap(([, all]) => all.map(({ text }) => text))
      return `// ${path}\n${texts.join('\n')}\n`
    })
  const hidden = [...names].filter((name) => !exported.includes(name)).toSorted()
  const text = `export { ${exported.join(', ')} }\n\n${parts.join('\n')}`
  return { text, exported, hidden }
}
