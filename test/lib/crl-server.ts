/** A real HTTP server on loopback that a test tells what to answer, for places that are polled. */
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

export interface CrlServer {
  url: string
  calls: number
  /** What becomes of the next calls. */
  answer: (response: ServerResponse) => void
  close(): Promise<void>
}

export async function startCrlServer(): Promise<CrlServer> {
  const server = createServer((_request, response) => {
    made.calls++
    made.answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const made: CrlServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/issuing.crl`,
    calls: 0,
    answer: (response) => response.writeHead(404).end(),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return made
}
