/** Arguments of the command line, before `util.parseArgs` reads them. */
import { type ParseArgsOptionsConfig } from 'node:util'

/** What looks like an option, and where options end. A fingerprint that begins so has digits or capitals. */
const OPTION = /^--([a-z-]+(=.*)?)?$/

/**
 * Joins options and values that begin with a dash, as one base64url text in 64 does: `--confirm -x` is `--confirm=-x`. What looks like an option stays one, so that a
 * missing value is noticed.
 */
export function joinValues(args: readonly string[], options: ParseArgsOptionsConfig): string[] {
  const joined: string[] = []
  for (let i = 0; i < args.length; i++) {
    const [word, next] = [args[i]!, args[i + 1]]
    const takesText = word.startsWith('--') && options[word.slice(2)]?.type === 'string'
    if (takesText && next?.startsWith('-') === true && !OPTION.test(next)) {
      joined.push(`${word}=${next}`)
      i++
    } else joined.push(word)
  }
  return joined
}
