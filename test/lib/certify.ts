/** The CA of a world as an enrolment that lets everyone be kim: in Node and in browsers. */
import { parseCsr } from '../../shared/csr.ts'
import { issueLeaf } from '../../shared/issue.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { CLIENT_AUTH, DAY, random, uriOf, type World } from './world.ts'

/** A certificate for 30 days, PEM, for a CSR in PEM. */
export async function certifyKim(
  { world, now }: { world: World; now: number },
  csrPem: string,
): Promise<string> {
  const { spki, commonName } = await parseCsr(decodePem(csrPem, 'CERTIFICATE REQUEST')[0]!)
  const certificate = await issueLeaf({
    issuer: world.cas.client,
    spki,
    commonName,
    uri: uriOf('client', 'kim'),
    eku: [CLIENT_AUTH],
    notBefore: now - 60,
    notAfter: now + 30 * DAY,
    random,
  })
  return encodePem('CERTIFICATE', certificate)
}
