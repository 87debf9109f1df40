/** The settings of `keyferry run`, looked at before it is started. */
import { resolveSettings, SETTINGS, variableOf } from './settings.ts'
import { command, TEXT, type Command, type OptionSpecs } from './command.ts'

/** The options that set something. */
export const SETTING_OPTIONS: OptionSpecs = Object.fromEntries(
  Object.values(SETTINGS).map(({ flag, isList }) => [
    flag,
    isList === true ? ({ type: 'string', multiple: true } as const) : TEXT,
  ]),
)

const settingLines = Object.entries(SETTINGS)
  .map(([name, { what }]) => `  ${name.padEnd(15)} ${variableOf(name as 'log').padEnd(25)} ${what}`)
  .join('\n')

export const configCommands: Record<string, Command> = {
  'config check': command({
    summary: "check the settings of 'run', and show where each comes from",
    options: { config: TEXT },
    help: `usage: keyferry config check [--config FILE] [--json]

Reads the settings of 'keyferry run' as it would: the command line before the environment before keyferry.json of this directory, or another
FILE ($KEYFERRY_CONFIG). Says all that is wrong at once; exit 1 then. In the file each is a field by its name; times are seconds or such as 10m.

${settingLines}

example: keyferry config check --config /etc/keyferry/keyferry.json
`,
    run: (invocation) => {
      const { options, directory, out } = invocation
      const file = options.config
      const environment = process.env
      const {
        settings,
        from,
        file: read,
        problems,
      } = resolveSettings({ directory, flags: {}, environment, file })
      const shown = Object.entries(settings).map(([name, value]) => ({
        name,
        value: name === 'invite' ? '(given)' : (value as string | number | string[]),
        from: from[name as 'log']!,
      }))
      if (options.json === true)
        out(
          JSON.stringify({ file: read, settings: shown, problems, isGood: problems.length === 0 }),
        )
      else {
        out(
          read === null ? 'no file: settings are those of the environment' : `settings of ${read}`,
        )
        for (const one of shown) out(`${one.name}  ${String(one.value)}  from ${one.from}`)
        for (const { path, message } of problems) out(`! ${path}: ${message} (ERR_CONFIG)`)
      }
      return Promise.resolve(problems.length === 0 ? 0 : 1)
    },
  }),
}
