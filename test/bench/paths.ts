/**
 * Validating a path of three certificates and looking into long revocation lists, beside the libraries that a team would otherwise take, and beside
 * the bare signature checks. All take turns in one loop, on the same bytes. What the others leave out (see each) counts for them.
 */
import 'reflect-metadata'
import { createPublicKey, verify as opensslVerify, X509Certificate } from 'node:crypto'
import { X509Certificate as PeculiarCertificate, X509ChainBuilder } from '@peculiar/x509'
import { fromBER } from 'asn1js'
import * as pkijs from 'pkijs'
import { concat, hex, type Bytes } from '../../shared/bytes.ts'
import { checkCrl, parseCrl } from '../../shared/crl.ts'
import { validatePath } from '../../shared/path.ts'
import { ecdsaFromDer, readSigned } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { makeRsa } from '../lib/fixtures-keys.ts'
import { entry, makeCrl, makeWorld, NOW, type OddKey } from '../lib/odd-certificates.ts'
import { lineOf, Rounds, type Line } from './measure.ts'

const VALIDATIONS_A_ROUND = 20

/** Bytes of a buffer of its own, as these libraries want them. */
const bufferOf = (bytes: Bytes): ArrayBuffer => bytes.slice().buffer

async function time(work: () => unknown, count: number): Promise<number> {
  const begin = performance.now()
  for (let i = 0; i < count; i++) await work()
  return (performance.now() - begin) / count
}

type Contender = { name: string; work: () => unknown }

/** Runs all in turn, again and again; milliseconds by name. */
async function race(contenders: Contender[], rounds: number, count: number): Promise<Rounds> {
  const seen = new Rounds()
  for (let round = -1; round < rounds; round++) {
    if (round === 0) seen.clear()
    for (const { name, work } of contenders) seen.note(name, await time(work, count))
  }
  return seen
}

function requireTrue(isValid: boolean, what: string): void {
  if (!isValid) throw new Error(`${what} does not validate the path: nothing was measured`)
}

async function contendersFor(
  keys: Partial<{ root: OddKey; ca: OddKey; leaf: OddKey }>,
  alg: 'ES256' | 'Ed25519',
): Promise<Contender[]> {
  const world = await makeWorld(alg, keys)
  const input = { ...(await world.make({ crls: 'unsafe-without-revocation' })) }
  const [leaf, ca] = input.certificates
  const [root] = input.anchors
  const chain = [leaf!, ca!, root!]
  const parts = chain.map(readSigned)
  const date = new Date(NOW * 1_000)
  const issuers = [ca!, root!].map((der) => new X509Certificate(der).publicKey)
  const opensslKeys = issuers.map((key) =>
    createPublicKey({
      key: key.export({ format: 'der', type: 'spki' }),
      format: 'der',
      type: 'spki',
    }),
  )
  const bare = (): void => {
    for (const [i, key] of opensslKeys.entries()) {
      const { tbs, signature } = parts[i]!
      const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
      requireTrue(opensslVerify(digest, tbs, key, signature), 'the bare check')
    }
  }
  const spkis = issuers.map((key) => Uint8Array.from(key.export({ format: 'der', type: 'spki' })))
  const openssl = (): void => {
    for (const [i, spki] of spkis.entries()) {
      const { tbs, signature } = parts[i]!
      const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
      const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
      requireTrue(opensslVerify(digest, tbs, key, signature), 'the bare check')
    }
  }
  const algorithms = opensslKeys.map(({ asymmetricKeyType: kind }) =>
    kind === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : kind === 'ed25519'
        ? { name: 'Ed25519' }
        : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  )
  const signatures = parts.map(({ signature }, i) =>
    algorithms[i]?.name === 'ECDSA' ? ecdsaFromDer(signature) : signature,
  )
  const web = async (): Promise<void> => {
    for (const [i, algorithm] of algorithms.entries()) {
      const key = await crypto.subtle.importKey('spki', spkis[i]!, algorithm, false, ['verify'])
      const isValid = await crypto.subtle.verify(algorithm, key, signatures[i]!, parts[i]!.tbs)
      requireTrue(isValid, 'WebCrypto')
    }
  }
  const node = (): void => {
    const list = chain.map((der) => new X509Certificate(der))
    for (const [i, one] of list.slice(0, 2).entries()) {
      const issuer = list[i + 1]!
      requireTrue(one.checkIssued(issuer) && one.verify(issuer.publicKey) && issuer.ca, 'node')
      requireTrue(one.validFromDate <= date && date <= one.validToDate, 'node')
    }
  }
  const peculiar = async (): Promise<void> => {
    const list = chain.map((der) => new PeculiarCertificate(bufferOf(der)))
    const built = await new X509ChainBuilder({ certificates: list.slice(1) }).build(list[0]!)
    requireTrue(built.length === 3, '@peculiar/x509')
  }
  const read = (der: Bytes): pkijs.Certificate =>
    new pkijs.Certificate({ schema: fromBER(bufferOf(der)).result })
  const pki = async (): Promise<void> => {
    const anchor = read(root!)
    const engine = new pkijs.CertificateChainValidationEngine({
      trustedCerts: [anchor],
      certs: [anchor, read(ca!), read(leaf!)],
      checkDate: date,
    })
    const { result, resultMessage } = await engine.verify()
    requireTrue(result, `pkijs (${resultMessage})`)
  }
  return [
    { name: 'keyferry', work: () => validatePath(input) },
    { name: 'bare signature checks (OpenSSL, keys imported)', work: bare },
    { name: 'bare signature checks (OpenSSL)', work: openssl },
    { name: 'bare signature checks (WebCrypto)', work: web },
    { name: "node's X509Certificate", work: node },
    { name: '@peculiar/x509', work: peculiar },
    { name: 'pkijs', work: pki },
  ]
}

/** Those that take the path at all, warmed up: pkijs, for one, knows no Ed25519. */
async function able(contenders: Contender[]): Promise<Contender[]> {
  const out: Contender[] = []
  for (const contender of contenders) {
    try {
      await time(contender.work, 3)
      out.push(contender)
    } catch (error) {
      process.stderr.write(`${contender.name}: ${(error as Error).message}\n`)
    }
  }
  return out
}

async function benchCrl(entries: number, rounds: number): Promise<Line[]> {
  const world = await makeWorld('ES256')
  const serials = Array.from({ length: entries }, () =>
    crypto.getRandomValues(new Uint8Array(16)).with(0, 0x41),
  )
  // In pieces: a call takes only so many arguments.
  const pieces: Bytes[] = []
  for (let i = 0; i < entries; i += 1_000) {
    pieces.push(concat(...serials.slice(i, i + 1_000).map((serial) => entry(serial))))
  }
  const der = await makeCrl(world.ca, { entries: pieces })
  const issuer = parseCertificate((await world.make()).certificates[1]!)
  const wanted = serials.at(-1)!
  const parsed = await checkCrl(parseCrl(der, { mostBytes: Infinity }), issuer, NOW)
  const contenders: Contender[] = [
    {
      name: 'keyferry, read, checked and asked',
      work: async () => {
        const crl = await checkCrl(parseCrl(der, { mostBytes: Infinity }), issuer, NOW)
        requireTrue(crl.isRevoked(wanted), 'keyferry')
      },
    },
  ]
  if (entries <= 10_000) {
    contenders.push({
      name: 'pkijs with maxNodes Infinity, read and asked',
      work: () => {
        const { result } = fromBER(bufferOf(der), { maxNodes: Infinity })
        const crl = new pkijs.CertificateRevocationList({ schema: result })
        const isIn = crl.revokedCertificates?.some(
          ({ userCertificate }) =>
            hex(new Uint8Array(userCertificate.valueBlock.valueHexView)) === hex(wanted),
        )
        requireTrue(isIn === true, 'pkijs')
      },
    })
  }
  const times = await race(contenders, rounds, 1)
  const asked = await time(() => parsed.isRevoked(wanted), 1_000)
  const own = times.of('keyferry, read, checked and asked')
  const again = own.map(() => asked)
  const title = `CRL of ${entries} entries: `
  return [
    ...times
      .lines(title, 'keyferry, read, checked and asked')
      .map((line, i) =>
        i === 0 ? { ...line, at: [{ curve: 'a revocation list, by entries', x: entries }] } : line,
      ),
    lineOf(`${title}keyferry, asked again`, again, own, 'keyferry, read, checked and asked'),
  ]
}

/** Paths in three algorithms, and lists of these lengths. */
export async function benchPaths(lengths: readonly number[], rounds: number): Promise<Line[]> {
  const rsa = makeRsa()
  const worlds = {
    'P-256': await contendersFor({}, 'ES256'),
    Ed25519: await contendersFor({}, 'Ed25519'),
    'RSA-2048': await contendersFor({ root: rsa, ca: rsa }, 'ES256'),
  }
  const lines: Line[] = []
  for (const [title, contenders] of Object.entries(worlds)) {
    const times = await race(await able(contenders), rounds, VALIDATIONS_A_ROUND)
    lines.push(...times.lines(`path, ${title}: `, 'keyferry'))
  }
  for (const length of lengths) lines.push(...(await benchCrl(length, Math.min(rounds, 5))))
  return lines
}
