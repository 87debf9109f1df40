/** The Worker's bundle and bindings as a configuration of plain workerd (Cap'n Proto text, `workerd.capnp` of the pinned version). */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { unstable_readConfig as readConfig, type Unstable_Config as Config } from 'wrangler'

/** What of the Worker's declaration a machine of one's own needs. */
export interface WorkerShape {
  compatibilityDate: string
  compatibilityFlags: readonly string[]
  /** Durable Object bindings, by the Worker's own classes. */
  objects: readonly { name: string; className: string }[]
  /** File names of the bundle: the entry first, then what it imports as text. */
  modules: readonly string[]
}

/** Where several machines keep what they share. */
export interface ClusterShape {
  /** `s3://bucket/prefix` or `gs://bucket/prefix`. */
  bucket: string
}

/** Secrets stand in no file of the bundle. */
export const SECRETS = ['INVITES', 'OPERATOR_SECRET'] as const
/** Variables that are read from the environment when the relay starts. */
const VARIABLES = [...SECRETS, 'LOG_SAMPLE', 'HOSTS'] as const

const ENTRY = 'index.js'
const WRANGLER = fileURLToPath(new URL('../wrangler.toml', import.meta.url))

/** The Worker as wrangler.toml declares it, with the bundle in a directory. Bindings that plain workerd does not have are left out. */
export function readShape(bundle: string): WorkerShape {
  const config: Config = readConfig({ config: WRANGLER })
  const texts = readdirSync(bundle).filter((name) => name.endsWith('.sql'))
  return {
    compatibilityDate: config.compatibility_date!,
    compatibilityFlags: config.compatibility_flags,
    objects: config.durable_objects.bindings.map(({ name, class_name }) => ({
      name,
      className: class_name,
    })),
    modules: [ENTRY, ...texts.toSorted()],
  }
}

/** A text of Cap'n Proto's schema language, which has C's escapes. */
function quote(text: string): string {
  return JSON.stringify(text)
}

/**
 * The configuration: the Worker on the socket `http`, its objects' databases in the directory `disk`, one line of JSON per log line. Socket address
 * and directory are given to `workerd serve`, so that the file is the same on every machine. The key of a cluster is the file `cluster.key` of a directory
 * that is given as import path: it is a secret, too.
 */
export function makeConfig(shape: WorkerShape, cluster?: ClusterShape): string {
  const list = (items: string[]): string => `[\n    ${items.join(',\n    ')} ]`
  const modules = shape.modules.map((name) => {
    const kind = name === ENTRY ? 'esModule' : 'text'
    return `(name = ${quote(name)}, ${kind} = embed ${quote(name)})`
  })
  // The key names the directory of the databases: another one would lose them.
  const namespaces = shape.objects.map(
    ({ className }) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(`keyferry-${className}`)}, enableSql = true)`,
  )
  const bindings = [
    ...shape.objects.map(
      ({ name, className }) =>
        `(name = ${quote(name)}, durableObjectNamespace = ${quote(className)})`,
    ),
    ...VARIABLES.map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`),
  ]
  const shared =
    cluster === undefined
      ? ''
      : `,\n  cluster = (bucket = ${quote(cluster.bucket)}, key = embed "/cluster.key")`
  const flags = shape.compatibilityFlags.map(quote).join(', ')
  return `# Made by npm run selfhost.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "disk", disk = (writable = true)) ],
  sockets = [ (name = "http", http = (), service = "main") ],
  logging = (structuredLogging = true)${shared}
);

const main :Workerd.Worker = (
  modules = ${list(modules)},
  compatibilityDate = ${quote(shape.compatibilityDate)},
  compatibilityFlags = [${flags}],
  durableObjectNamespaces = ${list(namespaces)},
  durableObjectStorage = (localDisk = "disk"),
  bindings = ${list(bindings)}
);
`
}
