/** The pages of this repository: their fenced blocks, headings, links, and the commands in them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT } from '../../tools/package/build.ts'

/** A fenced block. `language` is empty for layouts and output. */
export interface Block {
  page: string
  line: number
  language: string
  /** What stands after the language. */
  mark: string
  code: string
}

/** What `npm ci`, a build and a deriver leave in the checkout. */
const OTHERS = new Set(['node_modules', 'dist', 'coverage', 'keyferry', 'bench-results'])

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || OTHERS.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : path.endsWith('.md') ? [relative(ROOT, path)] : []
  })
}

/** Every page by its path from the root of the checkout. */
export const PAGES: ReadonlyMap<string, string> = new Map(
  walk(ROOT)
    .toSorted()
    .map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]),
)

export function blocksIn(page: string, text: string): Block[] {
  const found = text.matchAll(/^( *)```([\w+-]*)(?: +([^\n]*))?\n(.*?)^\1```$/gms)
  return [...found].map(({ index, 2: language, 3: mark, 4: code }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language: language!,
    mark: mark ?? '',
    code: code!,
  }))
}

/** The text without its fenced blocks. */
const prose = (text: string): string => text.replaceAll(/^( *)```.*?^\1```$/gms, '')

/** Code spans of the text, fences left out. */
export const spansIn = (text: string): string[] =>
  [...prose(text).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!)

/** Where links and pictures lead, as they are written. */
export function linksIn(text: string): string[] {
  const plain = prose(text).replaceAll(/`[^`\n]+`/g, '')
  const markdown = [...plain.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!)
  const html = [...plain.matchAll(/(?:src|srcset|href)="([^"]+)"/g)].map(([, target]) => target!)
  return [...markdown, ...html]
}

/** The anchors of a page's headings, made as GitHub makes them. */
export function anchorsIn(text: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading] of prose(text).matchAll(/^#{1,6} +(.+)$/gm)) {
    const words = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').trim()
    const slug = words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-')
    let name = slug
    for (let i = 1; anchors.has(name); i++) name = `${slug}-${i}`
    anchors.add(name)
  }
  return anchors
}

/** The end of what begins with `$(` before `from`. */
function closing(code: string, from: number): number {
  let depth = 1
  let at = from
  for (; depth > 0 && at < code.length; at++) {
    if (code[at] === '(') depth++
    if (code[at] === ')') depth--
  }
  return at
}

/** The simple commands of a piece of shell, as words; assignments before them and redirections are left out. */
export function commandsIn(shell: string): string[][] {
  const code = shell.replaceAll(/<<-?'?(\w+)'?([^\n]*)\n.*?^\1$/gms, '$2')
  const commands: string[][] = []
  let words: string[] = []
  let word: string | undefined
  let isTarget = false
  const endWord = (): void => {
    const isAssignment = words.length === 0 && /^\w+=/.test(word ?? '')
    if (word !== undefined && !isTarget && !isAssignment) words.push(word)
    if (word !== undefined) isTarget = false
    word = undefined
  }
  const endCommand = (): void => {
    endWord()
    if (words.length > 0) commands.push(words)
    words = []
  }
  let quote = ''
  for (let i = 0; i < code.length; i++) {
    const letter = code[i]!
    if (quote === "'" && letter !== quote) word += letter
    else if (letter === quote) quote = ''
    else if (letter === '\\') {
      if (code[++i] !== '\n') word = (word ?? '') + code[i]!
    } else if (letter === '$' && code[i + 1] === '(') {
      const end = closing(code, i + 2)
      commands.push(...commandsIn(code.slice(i + 2, end - 1)))
      word = `${word ?? ''}$(…)`
      i = end - 1
    } else if (quote === '"') word += letter
    else if (letter === "'" || letter === '"') {
      quote = letter
      word ??= ''
    } else if (letter === '#' && word === undefined) {
      while (i + 1 < code.length && code[i + 1] !== '\n') i++
    } else if (letter === ' ') endWord()
    else if ('\n;&|()'.includes(letter)) endCommand()
    else if (letter === '<' || letter === '>') {
      if (/^\d$/.test(word ?? '')) word = undefined
      endWord()
      isTarget = true
      if (code[i + 1] === letter) i++
    } else word = (word ?? '') + letter
  }
  endCommand()
  return commands
}
