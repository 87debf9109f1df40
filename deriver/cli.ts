#!/usr/bin/env node
/** The command line. Each command is a function from its options to lines for a person, or JSON for a program. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { commands } from './commands.ts'
import { HELP, USAGE } from './usage.ts'

/** Options that every command may take. */
const OPTIONS = {
  dir: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  'passphrase-file': { type: 'string' },
  org: { type: 'string' },
  domain: { type: 'string' },
  relay: { type: 'string', multiple: true },
  origin: { type: 'string', multiple: true },
  algorithm: { type: 'string' },
  'head-lifetime': { type: 'string' },
  'anchor-clients': { type: 'string' },
  'anchor-derivers': { type: 'string' },
  unsealed: { type: 'boolean' },
  rule: { type: 'string', multiple: true },
  kind: { type: 'string' },
  offline: { type: 'string' },
  cryptoperiod: { type: 'string' },
  invite: { type: 'string' },
  heartbeat: { type: 'string' },
  uri: { type: 'string' },
  instance: { type: 'string' },
  once: { type: 'boolean' },
  certificate: { type: 'string' },
  key: { type: 'string' },
  csr: { type: 'string' },
  days: { type: 'string' },
} as const satisfies ParseArgsConfig['options']

/** Values of the options given. */
export type Options = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

/** What a command gets. */
export interface Invocation {
  options: Options
  operands: string[]
  directory: string
  now: () => number
  /** The passphrase: from a file, the environment or a prompt. With `confirm`, asked for twice. */
  passphrase: (confirm?: boolean) => Promise<string>
  out: (text: string) => void
  signal: AbortSignal
}

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
  ERR_IO: 'is the path right, and --dir where keyferry init was run?',
  ERR_RELAY: 'is the relay up, and is its address right?',
  ERR_STATE: 'was the database made by another version of keyferry?',
  ERR_UNAUTHORIZED: 'is the clock right, and was the tenant enrolled with --invite?',
}

/** Exit statuses: 3 means that nothing is known about the answer. */
function statusOf(error: unknown): number {
  if (!isKeyferryError(error)) return 3
  if (error.code === 'ERR_USAGE') return 2
  return ['ERR_IO', 'ERR_RELAY', 'ERR_TIMEOUT'].includes(error.code) ? 3 : 1
}

async function main(argv: string[]): Promise<number> {
  const fail = (message: string): number => {
    process.stderr.write(`keyferry: error: ${message}\nkeyferry: hint: see keyferry --help\n`)
    return 2
  }
  let parsed
  try {
    parsed = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  } catch (error) {
    return fail((error as Error).message.split('\n')[0]!.toLowerCase())
  }
  const { values, positionals } = parsed
  const two = positionals.slice(0, 2).join(' ')
  const name = Object.hasOwn(HELP, two) ? two : positionals[0]
  if (name === undefined || !Object.hasOwn(HELP, name)) {
    if (values.help !== true && name !== undefined) return fail(`no command ${name}`)
    process.stdout.write(USAGE)
    return values.help === true ? 0 : 2
  }
  if (values.help === true) {
    process.stdout.write(HELP[name]!)
    return 0
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  try {
    return await commands[name]!({
      options: values,
      operands: positionals.slice(name.split(' ').length),
      directory: values.dir ?? process.env['KEYFERRY_DIR'] ?? 'keyferry',
      now: () => Math.floor(Date.now() / 1000),
      passphrase: (confirm = false) => readPassphrase(confirm, values['passphrase-file']),
      out: (text) => void process.stdout.write(`${text}\n`),
      signal: stop.signal,
    })
  } catch (error) {
    const code = isKeyferryError(error) ? error.code : ''
    process.stderr.write(
      `keyferry: error: ${(error as Error).message}${code === '' ? '' : ` (${code})`}\n`,
    )
    const hint = code === 'ERR_USAGE' ? `see keyferry ${name} --help` : HINTS[code]
    if (hint !== undefined) process.stderr.write(`keyferry: hint: ${hint}\n`)
    return statusOf(error)
  }
}

// ML-KEM in WebCrypto is marked experimental in this Node; that is no news to whoever reads this output.
process.removeAllListeners('warning')
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning')
    process.stderr.write(`keyferry: warning: ${warning.message}\n`)
})

process.exitCode = await main(process.argv.slice(2))
