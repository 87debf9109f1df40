/**
 * Settings of `keyferry run`: by command line, environment or a file, in that order, and all that is wrong with them at once. A secret is never one of them:
 * what is secret is named by the file that it is in.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { KeyferryError } from '../../shared/errors.ts'
import { duration } from './definition.ts'
import { parseBaseUrl, parseListen, requirePrivate } from '../console/guard.ts'
import { LONGEST_LEASE } from '../lease.ts'
import { isOpenToOthers } from '../permissions.ts'

/** What can be set. Times are seconds, paths absolute. */
export interface Settings {
  relays?: string[]
  invite?: string
  instance?: string
  heartbeat?: number
  headLifetime?: number
  lease?: number
  certificate?: string
  key?: string
  passphraseFile?: string
  console?: string
  consoleUrl?: string
  metrics?: string
  metricsHosts?: string[]
  log?: 'text' | 'json'
}
type Name = keyof Settings
type Value = string | string[] | number

/** One setting. `read` throws a {@link KeyferryError} that says what is wrong; relative paths are below `folder`. */
interface Setting {
  flag: string
  isList?: boolean
  /** What it is, for the page that lists them. */
  what: string
  read: (value: unknown, folder: string) => Value
}

const MAX_FILE = 65_536

function refuse(message: string): never {
  throw new KeyferryError('ERR_CONFIG', message)
}

function text(value: unknown): string {
  return typeof value === 'string' && /^\P{Cc}{1,1024}$/u.test(value)
    ? value
    : refuse('a text of 1 to 1024 characters')
}

const time =
  (least: number, most: number) =>
  (value: unknown): number => {
    const fit = `a number of seconds, or a time such as 10m, from ${least} s to ${most} s`
    let found: number | undefined
    try {
      found = typeof value === 'number' ? value : duration(text(value), 'time')
    } catch {
      refuse(fit)
    }
    return Number.isSafeInteger(found) && found! >= least && found! <= most ? found! : refuse(fit)
  }

const list =
  (one: (value: unknown) => string) =>
  (value: unknown): string[] => {
    if (!Array.isArray(value) || value.length === 0 || value.length > 32)
      refuse('a list of 1 to 32 texts')
    return value.map(one)
  }

function relay(value: unknown): string {
  const url = text(value)
  return /^https?:\/\/[^/\s]+$/.test(url) && URL.canParse(url)
    ? url
    : refuse(`not the address of a relay, such as https://relay.example: ${url}`)
}

const filePath = (value: unknown, folder: string): string => resolve(folder, text(value))

function listen(value: unknown): string {
  const found = typeof value === 'number' ? String(value) : text(value)
  parseListen(found)
  return found
}

function hostName(value: unknown): string {
  const name = text(value)
  return /^[a-z0-9.-]{1,253}$/i.test(name) ? name.toLowerCase() : refuse('not the name of a host')
}

/** Every setting, in the order of docs/deriver.md. */
export const SETTINGS: Readonly<Record<Name, Setting>> = {
  relays: {
    flag: 'relay',
    isList: true,
    what: 'addresses in place of the trust document’s',
    read: list(relay),
  },
  invite: {
    flag: 'invite',
    what: 'enrols the tenant at a relay that does not know it',
    read: text,
  },
  instance: {
    flag: 'instance',
    what: 'name of this deriver, also in its certificate of the built-in CA (deriver-1)',
    read: (value) => {
      const name = text(value)
      return /^[\w.-]{1,64}$/.test(name) ? name : refuse('1 to 64 letters, digits and . _ -')
    },
  },
  heartbeat: {
    flag: 'heartbeat',
    what: 'time between heads when nothing changes',
    read: time(1, 604_800),
  },
  headLifetime: {
    flag: 'head-lifetime',
    what: 'how long a head counts, at most what the trust document says',
    read: time(10, 604_800),
  },
  lease: {
    flag: 'lease',
    what: 'how long one that hangs keeps others standing by (15s)',
    read: time(1, LONGEST_LEASE / 1_000),
  },
  certificate: { flag: 'certificate', what: 'certificate path of your own CA', read: filePath },
  key: { flag: 'key', what: 'its private key, PKCS#8', read: filePath },
  passphraseFile: {
    flag: 'passphrase-file',
    what: 'a file with the passphrase of the key files',
    read: filePath,
  },
  console: { flag: 'console', what: 'serves the console: PORT or ADDRESS:PORT', read: listen },
  consoleUrl: {
    flag: 'console-url',
    what: 'what people open, behind a proxy',
    read: (value) => parseBaseUrl(text(value)),
  },
  metrics: {
    flag: 'metrics',
    what: 'serves /metrics and /health: PORT or ADDRESS:PORT',
    read: listen,
  },
  metricsHosts: {
    flag: 'metrics-host',
    isList: true,
    what: 'names by which others ask there, besides addresses and localhost',
    read: list(hostName),
  },
  log: {
    flag: 'log',
    what: 'text, or json: one object a line',
    read: (value) => (value === 'text' || value === 'json' ? value : refuse('text or json')),
  },
}
const NAMES = Object.keys(SETTINGS) as Name[]

/** Name of the environment variable of a setting. */
export function variableOf(name: Name): string {
  return `KEYFERRY_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** Something that is wrong: where, and what. */
export interface SettingProblem {
  /** `keyferry.json: heartbeat`, `--heartbeat` or `KEYFERRY_HEARTBEAT`. */
  path: string
  message: string
}

/** Settings as they came together. */
export interface Resolved {
  settings: Settings
  /** Where each comes from. */
  from: Partial<Record<Name, string>>
  /** The file that was read; `null` for none. */
  file: string | null
  problems: SettingProblem[]
}

/** Where settings are looked for. */
export interface SettingSources {
  directory: string
  flags: Readonly<Record<string, unknown>>
  environment: Readonly<Record<string, string | undefined>>
  /** A file in place of `keyferry.json` of the directory. */
  file?: string | undefined
}

function readObject(file: string, isNamed: boolean): Record<string, unknown> | null {
  let content: string
  try {
    if (statSync(file).size > MAX_FILE) refuse(`has more than ${MAX_FILE} bytes`)
    content = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof KeyferryError) throw error
    if (!isNamed && (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return refuse('cannot be read')
  }
  try {
    const value: unknown = JSON.parse(content)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch (error) {
    return refuse(`not JSON: ${(error as Error).message}`)
  }
  return refuse('not a JSON object')
}

/** Brings settings together. Throws nothing: what is wrong is in `problems`. */
export function resolveSettings({ directory, flags, environment, file }: SettingSources): Resolved {
  const problems: SettingProblem[] = []
  const settings: Settings = {}
  const from: Resolved['from'] = {}
  const named = file ?? environment['KEYFERRY_CONFIG']
  const path = resolve(named ?? join(directory, 'keyferry.json'))
  const tryTo = (where: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      problems.push({ path: where, message: (error as Error).message })
    }
  }
  const take = (name: Name, value: unknown, where: string, folder: string): void =>
    tryTo(where, () => {
      from[name] = where
      Object.assign(settings, { [name]: SETTINGS[name].read(value, folder) })
    })

  let object: Record<string, unknown> | null = null
  tryTo(path, () => {
    object = readObject(path, named !== undefined)
  })
  for (const [name, value] of Object.entries(object ?? {})) {
    const where = `${path}: ${name.slice(0, 40)}`
    if (/^(passphrase|pin|secret|password|token)$/i.test(name))
      problems.push({
        path: where,
        message: 'a secret is not in this file: passphraseFile names one',
      })
    else if (!Object.hasOwn(SETTINGS, name))
      problems.push({ path: where, message: 'no such setting' })
    else take(name as Name, value, where, dirname(path))
  }
  if (settings.invite !== undefined && isOpenToOthers(path))
    problems.push({ path: `${path}: invite`, message: `others can read it: chmod 600 ${path}` })
  for (const name of NAMES) {
    const { flag, isList } = SETTINGS[name]
    const variable = variableOf(name)
    const given = environment[variable]
    if (given !== undefined) take(name, isList ? given.split(',') : given, variable, process.cwd())
    if (flags[flag] !== undefined) take(name, flags[flag], `--${flag}`, process.cwd())
  }
  tryTo(from.certificate ?? from.key ?? '', () => {
    if ((settings.certificate === undefined) !== (settings.key === undefined))
      refuse('certificate and key go together')
  })
  tryTo(from.console ?? '', () => {
    const { console, consoleUrl } = settings
    if (console !== undefined) requirePrivate(parseListen(console).host, consoleUrl)
  })
  return { settings, from, file: object === null ? null : path, problems }
}

/** The settings. Throws `ERR_CONFIG` with everything that is wrong, a line each. */
export function requireSettings(sources: SettingSources): Settings {
  const { settings, problems } = resolveSettings(sources)
  if (problems.length === 0) return settings
  const lines = problems.map((one) => `${one.path}: ${one.message}`)
  throw new KeyferryError('ERR_CONFIG', lines.join('\n'))
}
