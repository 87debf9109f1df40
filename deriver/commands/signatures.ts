/** A client's commands for signatures beside files: sign, and verify who signed. */
import { KeyferryError } from '../../shared/errors.ts'
import { MAX_ENVELOPE } from '../../shared/limits.ts'
import { CLIENT_HELP, CLIENT_HINTS, CLIENT_OPTIONS } from './client.ts'
import { COMMON_HELP, openInput, senderLine, streamOf, withKeyring, write } from './client-files.ts'
import { command, FLAG, required, TEXT, usage, type Command } from './definition.ts'

/** A file with a signature. Throws `ERR_IO`, and `ERR_TOO_LARGE` as soon as it is too large for one. */
async function readSignature(path: string): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of (await openInput(path)) as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_ENVELOPE)
      throw new KeyferryError('ERR_TOO_LARGE', `${path} is too large for a signature`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

export const signatureCommands: Readonly<Record<string, Command>> = {
  sign: command({
    summary: 'a client: sign a file or a pipe',
    operands: 1,
    options: { ...CLIENT_OPTIONS, out: TEXT },
    hints: CLIENT_HINTS,
    help: `usage: keyferry sign [FILE] [--out FILE] [--config FILE] [--keyring NAME] [options]

Signs data of any length with this client's certificate, for a keyring: a signature to be kept beside them, which members of the keyring verify. It
does not hide the data, of which it holds the SHA-256: to hide them too, keyferry encrypt --sign.

${CLIENT_HELP}
  --out FILE          where the signature is written (default: standard output)
  --json              with --out: what was done, as JSON

${COMMON_HELP}

example: keyferry sign contract.pdf --key me.key --certificate me.pem --context contract/7 --out contract.sig
`,
    run: (invocation) => {
      const { options, operands, out, signal } = invocation
      const { context = '' } = options
      if (options.json === true && options.out === undefined) usage('--json needs --out')
      return withKeyring(invocation, async (notes) => {
        const input = streamOf(await openInput(operands[0]))
        const signature = await notes.sign(input, { context, signal })
        const bytes = await write(new Blob([signature.slice()]).stream(), options.out)
        const done = { bytes, file: options.out, keyring: notes.name }
        if (options.json === true) out(JSON.stringify(done))
        else if (options.out !== undefined) out(`${options.out}: ${bytes} bytes`)
        return 0
      })
    },
  }),
  verify: command({
    summary: 'a client: who signed a file or a pipe',
    operands: 1,
    options: { ...CLIENT_OPTIONS, signature: TEXT, from: TEXT, 'allow-revoked': FLAG },
    hints: CLIENT_HINTS,
    help: `usage: keyferry verify [FILE] --signature FILE [--from URI] [--config FILE] [--keyring NAME] [options]

Says who signed data, verified to the customer's CA. The time is the word of the signer. "current": the certificate is valid, and lists that are
usable now do not have it; "expired": it was valid at that time, which nobody else vouches for.

${CLIENT_HELP}
  --signature FILE    as keyferry sign wrote it
  --from URI          refuses what this client did not sign; a prefix and * behind a / stands for all below it
  --allow-revoked     reports a signer whose certificate is revoked, in place of refusing it
  --json              as JSON

${COMMON_HELP}

example: keyferry verify contract.pdf --signature contract.sig --context contract/7 --from keyferry://client.acme.example/kim
`,
    run: (invocation) => {
      const { options, operands, out, signal } = invocation
      const { context = '', from } = options
      const path = required(options.signature, 'signature')
      return withKeyring(invocation, async (notes) => {
        const signature = await readSignature(path)
        const input = streamOf(await openInput(operands[0]))
        const allowRevoked = options['allow-revoked'] === true
        const asked = { context, signal, allowRevoked, ...(from !== undefined && { from }) }
        const sender = await notes.verify(signature, input, asked)
        out(options.json === true ? JSON.stringify(sender) : senderLine(sender))
        return 0
      })
    },
  }),
}
