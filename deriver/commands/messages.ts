/** A client's commands: files and pipes through a keyring. What they need is loaded when they run, and is nothing of a deriver. */
import { type Keyring, type Sender } from '../../web/index.ts'
import { CLIENT_HELP, CLIENT_HINTS, CLIENT_OPTIONS, type ClientOptions } from './client.ts'
import { COMMON_HELP, openInput, senderLine, streamOf, withKeyring, write } from './client-files.ts'
import { command, FLAG, number, TEXT, usage, type Command, type Invocation } from './definition.ts'
import { rewrapCommand } from './rewrap.ts'
import { signatureCommands } from './signatures.ts'

const FILE_OPTIONS = { ...CLIENT_OPTIONS, out: TEXT } as const
type Pipe = (notes: Keyring, input: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array>

const OUT_HELP = `  --out FILE          written as a whole or not at all (default: standard output)
  --json              with --out: what was done, as JSON`

/** Sends the input through the keyring of a client. */
async function run(
  invocation: Invocation<ClientOptions & { out?: string }>,
  pipe: Pipe,
  signed: () => Sender | undefined = () => undefined,
): Promise<number> {
  const { options, operands, out } = invocation
  if (options.json === true && options.out === undefined) usage('--json needs --out')
  return withKeyring(invocation, async (notes) => {
    const input = await openInput(operands[0])
    const bytes = await write(pipe(notes, streamOf(input)), options.out)
    const sender = signed()
    const done = { bytes, file: options.out, keyring: notes.name, ...(sender && { sender }) }
    if (options.json === true) out(JSON.stringify(done))
    else if (options.out !== undefined) {
      out(`${options.out}: ${bytes} bytes`)
      if (sender !== undefined) out(senderLine(sender))
    }
    return 0
  })
}

export const messageCommands: Readonly<Record<string, Command>> = {
  encrypt: command({
    summary: 'a client: encrypt a file or a pipe under a keyring',
    operands: 1,
    options: { ...FILE_OPTIONS, sign: FLAG },
    hints: CLIENT_HINTS,
    help: `usage: keyferry encrypt [FILE] [--out FILE] [--config FILE] [--keyring NAME] [--sign] [options]

Encrypts as a client of a keyring, under the newest version that it knows, data of any length. The key comes
from the deriver through the relay the first time, and out of the state file as long as that is fresh: up to an
hour by default, in which it may not know of a rotation yet.

${CLIENT_HELP}
${OUT_HELP}
  --sign              signs with this client's certificate, inside: only members see who did

${COMMON_HELP}

example: keyferry encrypt notes.tar --key me.key --certificate me.pem --context backup/7 --out notes.kf
example: tar c notes | keyferry encrypt --keyring notes > notes.kf
`,
    run: (invocation) => {
      const { context = '', sign = false } = invocation.options
      const options = { context, sign, signal: invocation.signal }
      return run(invocation, (notes, input) => notes.encryptStream(input, options))
    },
  }),
  decrypt: command({
    summary: 'a client: decrypt a file or a pipe',
    operands: 1,
    options: {
      ...FILE_OPTIONS,
      'min-version': TEXT,
      from: TEXT,
      signed: FLAG,
      'allow-revoked': FLAG,
    },
    hints: CLIENT_HINTS,
    help: `usage: keyferry decrypt [FILE] [--out FILE] [--config FILE] [--keyring NAME] [--from URI] [options]

Decrypts as a client of a keyring. What comes out was authenticated, but only exit status 0 says that it is whole: into a pipe, what was done with
it before must be undone otherwise. A signature inside is verified, and with --out it is said who signed.

${CLIENT_HELP}
${OUT_HELP}
  --min-version N     refuses messages under older versions, which removed members can still make
  --from URI          refuses what this sender did not sign; a prefix and * behind a / stands for all below it
  --signed            refuses what nobody signed
  --allow-revoked     reports a sender whose certificate is revoked, in place of refusing it

${COMMON_HELP}

example: keyferry decrypt notes.kf --key me.key --certificate me.pem --context backup/7 --out notes.tar
`,
    run: (invocation) => {
      const { signal } = invocation
      const { context = '', from, signed = false, ...given } = invocation.options
      const text = given['min-version']
      const minVersion = number(text, 'min-version', 'a version', 2 ** 32 - 1) ?? 0
      let sender: Sender | undefined
      const options = {
        context,
        minVersion,
        signal,
        allowRevoked: given['allow-revoked'] === true,
        onSender: (one: Sender): void => void (sender = one),
        ...(from !== undefined ? { from } : signed && { from: true }),
      }
      return run(
        invocation,
        (notes, input) => notes.decryptStream(input, options),
        () => sender,
      )
    },
  }),
  rewrap: rewrapCommand,
  ...signatureCommands,
}
