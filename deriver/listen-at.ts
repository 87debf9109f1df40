/** Listening at an address of this machine. */
import { type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { KeyferryError } from '../shared/errors.ts'

/** Why an address cannot be had, for whoever chose it. */
const HINTS: Partial<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: choose another port, or 0 for a free one',
  EACCES: 'this user may not listen there: choose a port above 1023',
}
const NO_ADDRESS = 'is it an address of this machine?'

/** Has a server listen, at a free port for 0. Returns the port. Throws `ERR_IO`. */
export async function listenAt(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const hint = HINTS[cause.code ?? ''] ?? NO_ADDRESS
      reject(new KeyferryError('ERR_IO', `${host}:${port} cannot be listened at`, { cause, hint }))
    })
    server.listen(port, host, resolve)
  })
  return (server.address() as AddressInfo).port
}
