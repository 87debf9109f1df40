/** What a command of the command line is, and how its options are read. Loads nothing of a deriver. */
import { KeyferryError } from '../../shared/errors.ts'

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
  /** The passphrase: from a file, `--passphrase-file` unless one is named, the environment or a prompt. With `confirm`, asked for twice. */
  passphrase: (confirm?: boolean, file?: string) => Promise<string>
  out: (text: string) => void
  signal: AbortSignal
}

/** A command. `run` returns the exit status: 0 done, 1 no. */
export interface Command {
  /** What it does, in a few words. */
  summary: string
  options: OptionSpecs
  /** How many operands it takes at most, as its usage says: none unless there is a number. */
  operands?: number
  /** Its whole help text, with an example. */
  help: string
  /** What to look at after an error of a code, where that differs from the deriver's commands. */
  hints?: Partial<Record<string, string>>
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
  least = 0,
): number | undefined {
  if (value === undefined) return undefined
  if (!/^\d{1,10}$/.test(value) || Number(value) > most || Number(value) < least)
    usage(
      `--${name} is a number of ${unit}, ${least === 0 ? '' : `at least ${least} and `}at most ${most}`,
    )
  return Number(value)
}

export function seconds(value: string | undefined, name: string): number | undefined {
  return number(value, name, 'seconds', 3_155_760_000)
}

/** A head lifetime, as trust documents take it. */
export function headLifetime(value: string | undefined): number | undefined {
  return number(value, 'head-lifetime', 'seconds', 604_800, 60)
}

const UNITS: Record<string, number> = {
  s: 1,
  m: 60,
  h: 3_600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
}

/** A length of time, such as `90d` or `5y`; without a unit, seconds. */
export function duration(value: string | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  const [, digits, unit = 's'] = /^(\d{1,10})([smhdwy])?$/.exec(value) ?? []
  const length = digits === undefined ? Infinity : Number(digits) * UNITS[unit]!
  if (length > 3_155_760_000)
    usage(`--${name} is a length of time such as 90d, 12h or 5y, at most 100y`)
  return length
}
