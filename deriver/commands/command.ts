/** What a command of the command line is, and what commands share: reading options and files, opening the database. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { decodePem } from '../../shared/pem.ts'
import { needsPassphrase } from '../index.ts'
import { readStatus, type Status } from '../status.ts'
import { openStore, storePath, type Store } from '../store.ts'

export const TEXT = { type: 'string' } as const
export const TEXTS = { type: 'string', multiple: true } as const
export const FLAG = { type: 'boolean' } as const

/** Options of a command by name, as `util.parseArgs` takes them. */
export type OptionSpecs = Record<string, typeof TEXT | typeof TEXTS | typeof FLAG>

/** Options that every command takes. */
export const COMMON = {
  dir: TEXT,
  json: FLAG,
  help: { type: 'boolean', short: 'h' },
  'passphrase-file': TEXT,
} as const

type Values<O extends OptionSpecs> = {
  [K in keyof O]?: O[K] extends typeof TEXTS
    ? string[]
    : O[K] extends typeof FLAG
      ? boolean
      : string
} & { json?: boolean }

/** What a command gets. */
export interface Invocation<O = object> {
  options: O
  operands: string[]
  directory: string
  now: () => number
  /** The passphrase: from a file, the environment or a prompt. With `confirm`, asked for twice. */
  passphrase: (confirm?: boolean) => Promise<string>
  out: (text: string) => void
  signal: AbortSignal
}

/** A command. `run` returns the exit status: 0 done, 1 no. */
export interface Command {
  /** What it does, in a few words. */
  summary: string
  options: OptionSpecs
  /** Its whole help text, with an example. */
  help: string
  /** `options` holds what `util.parseArgs` read by the options above and {@link COMMON}. */
  run: (invocation: Invocation) => Promise<number>
}

/** A command whose options have types. */
export function command<const O extends OptionSpecs>(
  definition: Omit<Command, 'options' | 'run'> & {
    options: O
    run: (invocation: Invocation<Values<O>>) => Promise<number>
  },
): Command {
  return definition
}

export function usage(message: string): never {
  throw new KeyferryError('ERR_USAGE', message)
}

export function required(value: string | undefined, name: string): string {
  return value ?? usage(`--${name} is needed`)
}

/** The one operand. */
export function operand({ operands }: { operands: string[] }, what: string): string {
  if (operands.length !== 1) usage(`one ${what} is needed`)
  return operands[0]!
}

export function number(
  value: string | undefined,
  name: string,
  unit: string,
  most: number,
): number | undefined {
  if (value === undefined) return undefined
  if (!/^\d{1,10}$/.test(value) || Number(value) > most)
    usage(`--${name} is a number of ${unit}, at most ${most}`)
  return Number(value)
}

export function seconds(value: string | undefined, name: string): number | undefined {
  return number(value, name, 'seconds', 3_155_760_000)
}

/** A file of at most `most` bytes. Throws `ERR_TOO_LARGE` before it reads a larger one, `ERR_IO`. */
export function readFile(path: string, most = Infinity): Bytes {
  try {
    if (statSync(path).size > most)
      throw new KeyferryError('ERR_TOO_LARGE', `${path} has more than ${most} bytes`)
    return new Uint8Array(readFileSync(path))
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

/** Writes a file as a whole: what was there stays until the new one is. Throws `ERR_IO`. */
export function writeFileWhole(path: string, bytes: Uint8Array): void {
  const part = `${path}.${process.pid}.part`
  try {
    writeFileSync(part, bytes, { flag: 'wx' })
    renameSync(part, path)
  } catch (cause) {
    rmSync(part, { force: true })
    throw new KeyferryError('ERR_IO', `${path} cannot be written`, { cause })
  }
}

export function readText(path: string): string {
  return new TextDecoder().decode(readFile(path))
}

/** DER of a PEM or DER file. */
export function readDer(path: string, label: string): Bytes[] {
  const bytes = readFile(path)
  return bytes[0] === 0x30 ? [bytes] : decodePem(new TextDecoder().decode(bytes), label)
}

export async function withStore<T>(
  { directory }: { directory: string },
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = openStore(storePath(directory))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

export async function passphraseIfSealed({
  directory,
  passphrase,
}: {
  directory: string
  passphrase: () => Promise<string>
}): Promise<string | null> {
  return needsPassphrase(directory) ? passphrase() : null
}

/** Runs a command that shows a part of the status. */
export function show(
  part: 'keyrings' | 'devices',
  lines: (status: Status) => string[],
): (invocation: Invocation<{ json?: boolean }>) => Promise<number> {
  return (invocation) =>
    withStore(invocation, async (store) => {
      const status = await readStatus(store, invocation.now())
      const text = lines(status)
      invocation.out(
        invocation.options.json === true
          ? JSON.stringify(status[part])
          : text.length === 0
            ? `no ${part}`
            : text.join('\n'),
      )
      return 0
    })
}
