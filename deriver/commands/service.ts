/** The service. */
import { parseListen } from '../console/guard.ts'
import { openDeriver, type Deriver } from '../index.ts'
import { logLine } from '../log-line.ts'
import { EventCounts } from '../metrics.ts'
import { startMonitor } from '../monitor.ts'
import { requireSettings, type Settings } from './settings.ts'
import { signerFromFiles } from '../signer-files.ts'
import { date, eventLine } from '../show.ts'
import { type ServiceEvent } from '../service.ts'
import { SETTING_OPTIONS } from './config.ts'
import { openConsole } from './console.ts'
import { command, FLAG, passphraseIfSealed, readDer, TEXT, usage, type Command } from './command.ts'

/** The deriver's certificate and key from files, where they are given. */
export function ownSigner({
  certificate,
  key,
}: {
  certificate?: string
  key?: string
}): ReturnType<typeof signerFromFiles> | undefined {
  if ((certificate === undefined) !== (key === undefined))
    usage('--certificate and --key go together')
  return certificate === undefined ? undefined : signerFromFiles(certificate, key!, readDer)
}

/** What is served beside the service. */
interface Served {
  stop(): Promise<void>
}

/** The console and the monitor, where they are set. Returns what stops them. */
async function serve(
  deriver: Deriver,
  settings: Settings,
  invocation: { directory: string; now: () => number },
  counts: EventCounts,
  isStandby: () => boolean,
  say: (text: string, fields: object) => void,
): Promise<Served[]> {
  const { store } = deriver
  const served: Served[] = []
  const { console: listen, consoleUrl, metrics, metricsHosts = [] } = settings
  const { directory, now } = invocation
  try {
    if (metrics !== undefined) {
      const at = parseListen(metrics)
      const monitor = await startMonitor({
        store,
        ...at,
        hosts: metricsHosts,
        counts,
        isStandby,
        now,
      })
      served.push(monitor)
      say(`metrics at ${monitor.url}metrics, health at ${monitor.url}health`, {
        metrics: monitor.url,
      })
    }
    if (listen !== undefined) {
      const console = await openConsole(store, directory, listen, consoleUrl)
      served.push(console)
      // A link is not for whoever reads logs.
      say(`console at ${console.url}: keyferry console link lets you in`, { console: console.url })
    }
    return served
  } catch (error) {
    await Promise.all(served.map((one) => one.stop()))
    throw error
  }
}

export const serviceCommands: Record<string, Command> = {
  run: command({
    summary: 'answer clients and keep relays up to date',
    options: { ...SETTING_OPTIONS, config: TEXT, once: FLAG },
    help: `usage: keyferry run [--relay URL]… [--invite CODE] [--heartbeat TIME] [--head-lifetime TIME] [--instance NAME] [--lease TIME] [--once] [--json]
         [--certificate PEM --key PEM] [--console [ADDRESS:]PORT [--console-url URL]] [--metrics [ADDRESS:]PORT [--metrics-host NAME]…]
         [--log text|json] [--config FILE]

Connects out to the relays, verifies and answers requests, enforces revocations, rotates what is due, signs heads.
Needs no open port. Stops on SIGINT or SIGTERM and goes on where it was. --once does what is due and ends. All but --once may be settings
in keyferry.json of the directory, in --config FILE, or in the environment: 'keyferry config check' lists them. A TIME is seconds or such as 10m.
--instance     name of this deriver in the certificate of the built-in CA, deriver-1 unless given
--lease        of several on one directory one works and the others stand by; they take over at once from one that ended, and after so long (15s)
               from one that hangs
--invite       enrols the tenant at a relay that does not know it; the relay's operator gives the code (its INVITES)
--certificate  the deriver's certificate path from your own CA, with --key, its private key (PKCS#8);
               read again when the files change
--console      serves the console (keyferry console --help)
--metrics      serves /metrics for Prometheus and /health, without a login: numbers and addresses of relays
--log          json: a line of JSON for each event, which names a client or keyrings and never both; --json has the events as they are

example: keyferry run --invite CODE
`,
    run: async (invocation) => {
      const { directory, out, signal, now } = invocation
      const options = invocation.options as Record<string, unknown> & {
        json?: boolean
        once?: boolean
        config?: string
      }
      const settings = requireSettings({
        directory,
        flags: options,
        environment: process.env,
        file: options.config,
      })
      const {
        certificate,
        key,
        console: _,
        consoleUrl: __,
        metrics: ___,
        metricsHosts: ____,
        log,
        passphraseFile,
        ...rest
      } = settings
      let failed = false
      let isStandby = options.once !== true
      const counts = new EventCounts()
      const report = (event: ServiceEvent): void => {
        failed ||= event.type === 'relay-error'
        if (event.type === 'writer') isStandby = event.state !== 'taken'
        counts.add(event)
        out(
          options.json === true
            ? JSON.stringify({ time: now(), ...event })
            : log === 'json'
              ? logLine(event, now())
              : `${date(now())}  ${eventLine(event)}`,
        )
      }
      const say = (text: string, fields: object): void =>
        out(
          options.json === true
            ? JSON.stringify(fields)
            : log === 'json'
              ? JSON.stringify({
                  time: new Date(now() * 1000).toISOString(),
                  level: 'info',
                  ...fields,
                })
              : text,
        )
      const signer = ownSigner({
        ...(certificate !== undefined && { certificate }),
        ...(key !== undefined && { key }),
      })
      const deriver = await openDeriver({
        directory,
        passphrase: await passphraseIfSealed({
          directory,
          passphrase: () => invocation.passphrase(false, passphraseFile),
        }),
        report,
        ...rest,
        ...(signer === undefined ? {} : { signer }),
      })
      let served: Served[] = []
      try {
        if (options.once === true) await deriver.once()
        else {
          served = await serve(deriver, settings, invocation, counts, () => isStandby, say)
          const { tenant } = deriver
          say(`deriver of tenant ${tenant} is running, times in UTC`, { type: 'running', tenant })
          await deriver.run(signal)
        }
      } finally {
        await Promise.all(served.map((one) => one.stop()))
        deriver.close()
      }
      return options.once === true && failed ? 3 : 0
    },
  }),
}
