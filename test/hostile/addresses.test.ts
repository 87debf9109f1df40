/** Certificates that name addresses, of their issuer, of its lists and of a responder: nobody ever goes there (threats 3.4). */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { der, derOid, derSequence } from '../../shared/der.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { startCrlServer, type CrlServer } from '../lib/crl-server.ts'
import { codeOf } from '../lib/deriver.ts'
import { ext, type Extensions, uriName } from '../lib/odd-certificates.ts'
import { oddSigner } from '../lib/odd-signer.ts'
import { DERIVER, path, useWholePath } from '../lib/whole-path.ts'
import { uriOf } from '../lib/world.ts'

useWholePath()

let server: CrlServer
let addresses: Extensions
beforeEach(async () => {
  server = await startCrlServer()
  onTestFinished(() => server.close())
  const at = uriName(server.url)
  const access = (oid: string) => derSequence(derOid(oid), at)
  const places = derSequence(derSequence(der(0xa0, der(0xa0, at))))
  addresses = {
    // OCSP and caIssuers
    access: ext(
      '1.3.6.1.5.5.7.1.1',
      derSequence(access('1.3.6.1.5.5.7.48.1'), access('1.3.6.1.5.5.7.48.2')),
    ),
    points: ext('2.5.29.31', places),
    freshest: ext('2.5.29.46', places),
  }
})

describe('addresses in certificates', () => {
  it('3.4 certificate stapling: addresses in all of them · whoever got the certificates · no connection', async () => {
    const { derivers, clients } = path.tenant
    const signer = await oddSigner(derivers, DERIVER, path.now(), addresses)
    await path.startService({ signer })
    const uri = 'keyferry://client.acme.example/ada'
    const ada = await path.join(await oddSigner(clients, uri, path.now(), addresses))
    await (await ada.keyring('notes')).encrypt('x')
    expect(server.calls).toBe(0)
  })

  it('3.4 certificate stapling: its list is kept back, and the address of it is there · relay · ERR_CRL, no connection', async () => {
    const relay = await ClientRelay.start()
    const { world, now } = relay
    world.deriver = await oddSigner(world.cas.deriver, uriOf('deriver', 'one'), now, addresses)
    await relay.publish()
    relay.twist = (delivery) => ({ ...delivery, crls: [] })
    const client = await openClient(relay)
    expect(await codeOf(client.keyring('notes'))).toBe('ERR_CRL')
    expect(server.calls).toBe(0)
    relay.twist = (delivery) => delivery
    await client.keyring('notes')
  })
})
