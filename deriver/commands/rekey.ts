/** Replacing the keys of a device that may have leaked. */
import { listRekeys, orderRekey } from '../rekey.ts'
import { type Store } from '../store.ts'
import {
  command,
  duration,
  FLAG,
  operand,
  TEXT,
  usage,
  withStore,
  type Command,
} from './command.ts'
import { startProgress } from './progress.ts'

/** Milliseconds between two looks at what the service did. */
const LOOK = 250

const isLeft = (store: Store, keys: readonly string[]): string[] =>
  listRekeys(store)
    .filter(({ keyId }) => keys.includes(keyId))
    .map(({ keyId }) => keyId)

export const rekeyCommands: Record<string, Command> = {
  'client rekey': command({
    summary: 'replace the keys of a device that may have leaked',
    operands: 1,
    options: { device: TEXT, 'no-wait': FLAG, timeout: TEXT },
    help: `usage: keyferry client rekey URI [--no-wait] [--timeout TIME] [--json]
       keyferry client rekey --device KEYID [--no-wait] [--timeout TIME] [--json]

For a device whose stored state somebody may have copied, but not its certificate key: for that, revoke it. Asks the device for another key package
and, once its memberships have moved, begins another generation of each of its keyrings: in that order, since neither alone helps. The running
service does it when the device is online; a relay can keep the demand from it, and then the package ends by age, within 30 days.
Waits until it is done, or for --timeout (10m); stopping the command stops nothing.

example: keyferry client rekey keyferry://client.acme.example/alice
`,
    run: async (invocation) => {
      const { options, operands, out, now, signal } = invocation
      const { device } = options
      if ((device === undefined) === (operands.length === 0)) usage('a URI or --device is needed')
      const timeout = duration(options.timeout, 'timeout') ?? 600
      return withStore(invocation, async (store) => {
        const who =
          device === undefined
            ? { uri: operand(invocation, 'URI') }
            : { device: device.toLowerCase() }
        const ordered = orderRekey(store, who, now())
        const keys = ordered.map(({ keyId }) => keyId)
        const say = (text: string): void => {
          if (options.json !== true) out(text)
        }
        for (const { uri, keyId } of ordered)
          say(`another key package is asked of ${uri}  key ${keyId.slice(0, 16)}`)
        const end = Date.now() + timeout * 1000
        let left = keys
        const progress = startProgress('devices', options.json)
        while (
          options['no-wait'] !== true &&
          left.length > 0 &&
          !signal.aborted &&
          Date.now() < end
        ) {
          await new Promise((resolve) => setTimeout(resolve, LOOK))
          const still = isLeft(store, keys)
          progress.stop()
          for (const key of left)
            if (!still.includes(key)) say(`key ${key.slice(0, 16)}: new package, new generations`)
          left = still
          progress.tell(keys.length - left.length, keys.length)
        }
        progress.stop()
        if (options.json === true) out(JSON.stringify({ devices: ordered, left }))
        else if (left.length > 0) say(`${left.length} still to come: keyferry status shows them`)
        return left.length > 0 && options['no-wait'] !== true ? 1 : 0
      })
    },
  }),
}
