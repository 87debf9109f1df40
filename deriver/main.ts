/** The command line as a function. Each command is a function from its options to lines for a person, or JSON for a program. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { parseArgs } from 'node:util'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { joinValues } from './arguments.ts'
import { COMMON } from './commands/definition.ts'
import { messageCommands } from './commands/messages.ts'

/** A passphrase that is given, not asked for: in a file or in the environment. */
function givenPassphrase(file: string | undefined): string | undefined {
  if (file === undefined) return process.env['KEYFERRY_PASSPHRASE']
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${file} cannot be read`, { cause })
  }
}

/** Asks on the terminal. What is typed is not shown: the line editor writes into nothing. */
async function ask(prompt: string): Promise<string> {
  const nothing = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: process.stdin, output: nothing, terminal: true })
  process.stderr.write(prompt)
  try {
    return await reader.question('')
  } finally {
    reader.close()
    process.stderr.write('\n')
  }
}

async function readPassphrase(confirm: boolean, file: string | undefined): Promise<string> {
  let passphrase = givenPassphrase(file)
  if (passphrase === undefined) {
    if (!process.stdin.isTTY) {
      throw new KeyferryError(
        'ERR_PASSPHRASE',
        'no passphrase: set KEYFERRY_PASSPHRASE or use --passphrase-file',
      )
    }
    passphrase = await ask('passphrase: ')
    if (confirm && (await ask('once more: ')) !== passphrase) {
      throw new KeyferryError('ERR_PASSPHRASE', 'the two do not agree')
    }
  }
  if (passphrase.length === 0)
    throw new KeyferryError('ERR_PASSPHRASE', 'an empty passphrase seals nothing')
  return passphrase
}

const HINTS: Partial<Record<string, string>> = {
  ERR_CONFIG: "'keyferry config check' shows every setting and where it comes from",
  ERR_IO: 'is the path right, and --dir where keyferry init was run?',
  ERR_RELAY: 'is the relay up, and is its address right?',
  ERR_STATE: 'was the database made by another version of keyferry?',
  ERR_UNAUTHORIZED: 'is the clock right, and was the tenant enrolled with --invite?',
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Exit statuses: 3 means that nothing is known about the answer. */
function statusOf(error: unknown): number {
  if (!isKeyferryError(error)) return 3
  if (error.code === 'ERR_USAGE' || error.code === 'ERR_CONFIG') return 2
  const unknown = ['ERR_IO', 'ERR_RELAY', 'ERR_ROOT', 'ERR_ROOT_TIMEOUT', 'ERR_TIMEOUT']
  return unknown.includes(error.code) ? 3 : 1
}

/** What a person is told of an error of the command `name`: what it is, what a relay said last where nobody answered in time, and what may help. */
export function linesOf(
  error: unknown,
  name: string,
  hints: Partial<Record<string, string>>,
): string[] {
  const { message, cause } = error as Error
  // What the file system refuses has a name of its own, and the same remedies.
  const isFile = error instanceof Error && 'syscall' in error
  const code = isKeyferryError(error) ? error.code : isFile ? 'ERR_IO' : ''
  const lines = [`error: ${message}${code === '' ? '' : ` (${code})`}`]
  if (code === 'ERR_TIMEOUT' && isKeyferryError(cause))
    lines.push(`hint: ${cause.message} (${cause.code})`)
  const own = isKeyferryError(error) ? error.hint : undefined
  const hint = own ?? (code === 'ERR_USAGE' ? `see keyferry ${name} --help` : hints[code])
  return hint === undefined ? lines : [...lines, `hint: ${hint}`]
}

/** Shows Node's warnings as the command line's own. ML-KEM in WebCrypto is marked experimental; that is no news to whoever reads this output. */
export function showWarnings(): void {
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning')
      process.stderr.write(`keyferry: warning: ${warning.message}\n`)
  })
}

/**
 * Output that nobody reads any more stops no command: what one changes is done to the end, and the service goes on. Output that is lost in another way, such as on
 * a full disk, is said, and is no success.
 */
export function outliveOutput(): void {
  let isTold = false
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || isTold) return
    isTold = true
    process.stderr.write(`keyferry: error: the output is lost: ${message} (ERR_IO)\n`)
    process.once('exit', (status) => void (process.exitCode = status === 0 ? 3 : status))
  })
  // There is nobody to tell.
  process.stderr.on('error', () => {})
}

/** Commands that end as these words do, with another group or none: `keyring rotate` is `rotate`, `revoke` ends `client revoke`. */
function nearest(commands: readonly string[], words: readonly string[]): string[] {
  const found = commands.filter((one) => one.split(' ').at(-1) === words.at(-1))
  return found.length > 3 ? [] : found
}

/** Runs the command that these arguments name and returns its exit status. Output, environment and signals are those of the process. */
export async function main(argv: string[]): Promise<number> {
  const fail = (message: string, of = '', near: string[] = []): number => {
    const help = `see keyferry ${of === '' ? '' : `${of} `}--help`
    const hint = near.length === 0 ? help : `is it keyferry ${near.join(' or keyferry ')}?`
    process.stderr.write(`keyferry: error: ${message}\nkeyferry: hint: ${hint}\n`)
    return 2
  }
  // A client has no tenant: nothing of a deriver and its database is loaded for it.
  const isClient = Object.hasOwn(messageCommands, argv[0] ?? '')
  const deriver = isClient ? undefined : await import('./commands/index.ts')
  const commands = deriver?.COMMANDS ?? messageCommands
  // The command is named first: its options decide how the rest is read.
  const words = argv.findIndex((word) => word.startsWith('-'))
  const named = words === -1 ? argv : argv.slice(0, words)
  const two = named.slice(0, 2).join(' ')
  const three = named.slice(0, 3).join(' ')
  const name = [three, two].find((full) => Object.hasOwn(commands, full)) ?? named[0]
  const wantsHelp = argv.includes('--help') || argv.includes('-h')
  if (name === undefined) {
    if (!wantsHelp && argv.length > 0) return fail('a command comes before its options')
    process.stdout.write(deriver!.USAGE)
    return wantsHelp ? 0 : 2
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const { groupUsage } = deriver!
    const group = groupUsage(two) ?? groupUsage(name)
    if (group === undefined || (groupUsage(two) === undefined && named.length > 1 && !wantsHelp))
      return fail(`no command ${two}`, '', nearest(Object.keys(commands), named.slice(0, 2)))
    process.stdout.write(group)
    return wantsHelp ? 0 : 2
  }
  if (wantsHelp) {
    process.stdout.write(command.help)
    return 0
  }
  let parsed
  try {
    const options = { ...command.options, ...COMMON }
    const args = joinValues(argv.slice(name.split(' ').length), options)
    parsed = parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    const [first] = (error as Error).message.split('\n')
    return fail(`${first!.charAt(0).toLowerCase()}${first!.slice(1)}`, name)
  }
  const { values, positionals } = parsed
  const extra = positionals[command.operands ?? 0]
  if (extra !== undefined) return fail(`unexpected argument '${extra}'`, name)
  const stop = new AbortController()
  const end = (): void => stop.abort()
  for (const signal of SIGNALS) process.once(signal, end)
  try {
    return await command.run({
      options: values,
      operands: positionals,
      directory: values.dir ?? process.env['KEYFERRY_DIR'] ?? 'keyferry',
      now: () => Math.floor(Date.now() / 1000),
      passphrase: (confirm = false, file = values['passphrase-file']) =>
        readPassphrase(confirm, file),
      out: (text) => void process.stdout.write(`${text}\n`),
      signal: stop.signal,
    })
  } catch (thrown) {
    const { storeError } = await import('./store-error.ts')
    const error = storeError(thrown) ?? thrown
    for (const line of linesOf(error, name, command.hints ?? HINTS))
      process.stderr.write(`keyferry: ${line}\n`)
    return statusOf(error)
  } finally {
    for (const signal of SIGNALS) process.off(signal, end)
  }
}
