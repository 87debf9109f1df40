/**
 * A customer's CA made with the openssl program alone: root (the anchor) → issuing CA → leaves of both roles, one
 * expired and one revoked, and a CRL of each CA. It shares no code with Keyferry.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Bytes } from '../../shared/bytes.ts'

const run = promisify(execFile)

/** What the CAs sign with; leaves are Ed25519 there, else P-256. */
export type OpensslAlgorithm = 'p256' | 'ed25519' | 'p384' | 'rsa'
export type Role = 'client' | 'deriver'

/** Leaves that every CA has; the URI of each is `keyferry://ROLE.acme.example/NAME`. */
export const OPENSSL_LEAVES: Record<string, Role> = {
  'deriver-1': 'deriver',
  alice: 'client',
  bob: 'client',
  mallory: 'client', // revoked
  eve: 'client', // expired
}

export type OpensslCa = {
  readonly dir: string
  /** The anchor, DER. */
  readonly root: Bytes
  readonly issuing: Bytes
  /** Path without the anchor, and the private key. */
  readonly leaf: (name: string) => Promise<{ certificates: Bytes[]; pkcs8: Bytes }>
  /** Of the root and of the issuing CA. */
  readonly crls: Bytes[]
  /** Issues for a DER certification request; the CA, not the requester, decides the URI. */
  readonly issueFor: (csr: Bytes, role: Role, name: string) => Promise<Bytes[]>
  /** What `openssl verify` says of a path and lists; all of them DER. */
  readonly verify: (
    path: readonly Bytes[],
    anchor: Bytes,
    crls: readonly Bytes[],
  ) => Promise<string>
  readonly remove: () => Promise<void>
}

function makeConfig(digest: string): string {
  const ca = (name: string): string => `
[${name}]
dir = ./${name}
certificate = ./${name}.pem
private_key = ./${name}.key
database = $dir/index.txt
crlnumber = $dir/crlnumber
new_certs_dir = $dir
default_md = ${digest}
default_days = 90
default_crl_days = 7
crl_extensions = crl
policy = policy
unique_subject = no
serial = $dir/serial
copy_extensions = none
email_in_dn = no
`
  return `${ca('root')}${ca('issuing')}
[policy]
organizationName = optional
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[crl]
authorityKeyIdentifier = keyid:always
[x_root]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[x_issuing]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
extendedKeyUsage = clientAuth
nameConstraints = critical,permitted;URI:.acme.example
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[x_leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = URI:$ENV::SAN_URI
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
`
}

/** Makes the CA in a new temporary directory; needs openssl 3 on the PATH. */
export async function makeOpensslCa(algorithm: OpensslAlgorithm): Promise<OpensslCa> {
  const dir = await mkdtemp(join(tmpdir(), 'keyferry-ca-'))
  const ec = (curve: string): string[] => [
    '-algorithm',
    'EC',
    '-pkeyopt',
    `ec_paramgen_curve:${curve}`,
  ]
  const caKey = {
    p256: ec('P-256'),
    p384: ec('P-384'),
    ed25519: ['-algorithm', 'ed25519'],
    rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  }[algorithm]
  const leafKey = algorithm === 'ed25519' ? caKey : ec('P-256')
  const digest = { p256: 'sha256', p384: 'sha384', ed25519: 'default', rsa: 'sha256' }[algorithm]
  const openssl = async (args: string, ...more: string[]): Promise<void> => {
    const env = { PATH: process.env['PATH'], SAN_URI: 'unused:', ...sanUri }
    await run('openssl', [...args.split(' '), ...more], { cwd: dir, env })
  }
  let sanUri: { SAN_URI?: string } = {}
  const read = async (file: string): Promise<Bytes> =>
    Uint8Array.from(await readFile(join(dir, file)))
  const readDerOf = async (kind: 'x509' | 'crl', file: string): Promise<Bytes> => {
    await openssl(`${kind} -in ${file} -outform DER -out ${file}.der`)
    return read(`${file}.der`)
  }

  await writeFile(join(dir, 'ca.cnf'), makeConfig(digest))
  for (const ca of ['root', 'issuing']) {
    await mkdir(join(dir, ca))
    await writeFile(join(dir, ca, 'index.txt'), '')
    await writeFile(join(dir, ca, 'crlnumber'), '01\n')
    // With its first bit set: every serial has the octet before it that says it is positive.
    const serial = Buffer.concat([Buffer.from([0xf4]), randomBytes(15)])
    await writeFile(join(dir, ca, 'serial'), `${serial.toString('hex')}\n`)
    await openssl(`genpkey -out ${ca}.key`, ...caKey)
  }
  const rootName = '/O=Acme/CN=Acme Root'
  const selfSign = `req -x509 -new -key root.key -config ca.cnf -extensions x_root -days 3650${digest === 'default' ? '' : ` -${digest}`}`
  await openssl(`${selfSign} -out root.pem -subj`, rootName)
  await openssl(
    'req -new -key issuing.key -config ca.cnf -out issuing.csr -subj',
    '/O=Acme/CN=Issuing',
  )
  const ca = 'ca -batch -notext -config ca.cnf'
  await openssl(
    `${ca} -name root -extensions x_issuing -days 1825 -in issuing.csr -out issuing.pem`,
  )

  const issue = async (file: string, role: Role, name: string, dates = ''): Promise<void> => {
    sanUri = { SAN_URI: `keyferry://${role}.acme.example/${name}` }
    await openssl(`${ca} -name issuing -extensions x_leaf -in ${file}.csr -out ${file}.pem${dates}`)
    sanUri = {}
  }
  for (const [name, role] of Object.entries(OPENSSL_LEAVES)) {
    await openssl(`genpkey -out ${name}.key`, ...leafKey)
    await openssl(`pkcs8 -topk8 -nocrypt -in ${name}.key -outform DER -out ${name}.p8`)
    await openssl(`req -new -key ${name}.key -config ca.cnf -out ${name}.csr -subj`, `/CN=${name}`)
    const dates = name === 'eve' ? ' -startdate 20200101000000Z -enddate 20200201000000Z' : ''
    await issue(name, role, name, dates)
  }
  await openssl(`${ca} -name issuing -revoke mallory.pem -crl_reason keyCompromise`)
  await openssl('ca -config ca.cnf -name root -gencrl -out root.crl')
  await openssl('ca -config ca.cnf -name issuing -gencrl -out issuing.crl')

  const issuing = await readDerOf('x509', 'issuing.pem')
  const writePem = async (
    file: string,
    kind: 'x509' | 'crl',
    list: readonly Bytes[],
  ): Promise<void> => {
    let text = ''
    for (const [i, bytes] of list.entries()) {
      await writeFile(join(dir, `${file}.${i}`), bytes)
      const { stdout } = await run('openssl', [kind, '-inform', 'DER', '-in', `${file}.${i}`], {
        cwd: dir,
      })
      text += stdout
    }
    await writeFile(join(dir, file), text)
  }
  let count = 0
  return {
    dir,
    root: await readDerOf('x509', 'root.pem'),
    issuing,
    crls: [await readDerOf('crl', 'root.crl'), await readDerOf('crl', 'issuing.crl')],
    leaf: async (name) => ({
      certificates: [await readDerOf('x509', `${name}.pem`), issuing],
      pkcs8: await read(`${name}.p8`),
    }),
    issueFor: async (csr, role, name) => {
      const file = `request-${count++}`
      await writeFile(join(dir, `${file}.der`), csr)
      await openssl(`req -inform DER -in ${file}.der -verify -config ca.cnf -out ${file}.csr`)
      await issue(file, role, name)
      return [await readDerOf('x509', `${file}.pem`), issuing]
    },
    verify: async ([leaf, ...others], anchor, crls) => {
      const name = `verify-${count++}`
      await writePem(`${name}-leaf`, 'x509', leaf ? [leaf] : [])
      await writePem(`${name}-chain`, 'x509', others)
      await writePem(`${name}-anchor`, 'x509', [anchor])
      await writePem(`${name}-crls`, 'crl', crls)
      const args = ['verify', '-x509_strict', '-crl_check_all', '-purpose', 'sslclient']
      args.push('-CAfile', `${name}-anchor`, '-CRLfile', `${name}-crls`)
      if (others.length > 0) args.push('-untrusted', `${name}-chain`)
      try {
        const { stdout } = await run('openssl', [...args, `${name}-leaf`], { cwd: dir })
        return stdout
      } catch (error) {
        return (error as { stderr: string }).stderr
      }
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}
