// docs/vectors/sender.json in every engine: who signed.
import vectors from '../../docs/vectors/sender.json' with { type: 'json' }
import { fromBase32, fromBase64url, fromHex, hex } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { decryptMessage, parseMessageHeader, requireSigned } from '../../shared/message.ts'
import { subtle } from '../../shared/platform.ts'
import { openClaim, verifyData, type SenderContext } from '../../shared/sender.ts'
import { boundOf, openFrame } from '../../shared/signed-message.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { deriveMessageKey } from '../../shared/unwrap.ts'
import { runCases } from './support.ts'

type Context = typeof vectors.context
interface Input extends Partial<Context> {
  context: string
  from?: string | true
  allowRevoked?: boolean
  signature?: string
  data?: string
  message?: string
}

runCases<Input, object>('sender', vectors.cases, async (input) => {
  const { tenant, trust, keyring, rules, secret, now, crls } = { ...vectors.context, ...input }
  const asked: SenderContext = {
    trust: await verifyGenesis(envelopeSchema(trust, ''), tenant),
    manifest: { rules },
    now,
    from: input.from === true ? undefined : input.from,
    allowRevoked: input.allowRevoked,
    lists: () => Promise.resolve(crls.map((der) => parseCrl(fromBase64url(der)))),
  }
  const context = fromHex(input.context)
  const statement = { tenant, keyring: fromHex(keyring), context: sha256(context) }
  if (input.signature !== undefined) {
    const content = sha256(fromHex(input.data!))
    return verifyData(fromBase64url(input.signature), { ...statement, content }, asked)
  }
  const message = fromHex(input.message!)
  const header = parseMessageHeader(message)
  const hkdf = await subtle().importKey('raw', fromHex(secret), 'HKDF', false, ['deriveKey'])
  const names = { tenant: fromBase32(tenant), keyring: statement.keyring }
  const key = await deriveMessageKey(hkdf, names, header.keyId)
  const plaintext = await decryptMessage(key, message, context)
  requireSigned(header, input.from !== undefined)
  if (!header.isSigned) return { data: hex(plaintext) }
  const { data, sender } = await openFrame(plaintext, (claim) =>
    openClaim(claim, { ...statement, ...boundOf(message) }, asked),
  )
  return { ...sender, data: hex(data) }
})
