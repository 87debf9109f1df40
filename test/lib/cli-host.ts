/**
 * The command line for many commands in one process, one after another: each has arguments, a directory, an environment, outputs and an exit status
 * of its own. Loading the modules costs far more than most commands do.
 */
import { main, showWarnings } from '../../deriver/main.ts'
import { type HostedCommand, type Result } from './cli.ts'

showWarnings()

/** Keeps what is written in place of writing it. */
function capture(stream: NodeJS.WriteStream): { text(): string; end(): void } {
  const parts: Buffer[] = []
  stream.write = (
    part: string | Uint8Array,
    encoding?: BufferEncoding | (() => void),
    done?: () => void,
  ) => {
    parts.push(Buffer.from(part as Uint8Array))
    const then = typeof encoding === 'function' ? encoding : done
    if (then !== undefined) process.nextTick(then)
    return true
  }
  return {
    text: () => Buffer.concat(parts).toString(),
    // The one of its class shows again.
    end: () => void Reflect.deleteProperty(stream, 'write'),
  }
}

async function run({ args, cwd, env }: HostedCommand): Promise<Result> {
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  process.chdir(cwd)
  const [out, err] = [capture(process.stdout), capture(process.stderr)]
  try {
    const status = await main(args)
    return { status, stdout: out.text(), stderr: err.text() }
  } finally {
    out.end()
    err.end()
  }
}

let last = Promise.resolve()
process.on('message', (command: HostedCommand) => {
  last = last.then(async () => {
    const result = await run(command)
    process.send!({ id: command.id, ...result })
  })
})
process.on('disconnect', () => process.exit())
