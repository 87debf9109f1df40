/** Calls to a console as a browser, a script or an enemy makes them: any header, also those that fetch does not let one set. */
import { request } from 'node:http'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** One call. `body` is sent as JSON, unless a header says otherwise. */
export function callConsole(
  address: string,
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
): Promise<Answer> {
  const url = new URL(address)
  const data = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const type: Record<string, string> =
    body === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: url.hostname,
        port: url.port,
        path,
        method,
        headers: { host: url.host, ...type, ...headers },
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () =>
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            text: Buffer.concat(parts).toString(),
          }),
        )
      },
    )
    call.on('error', reject)
    call.end(data)
  })
}
