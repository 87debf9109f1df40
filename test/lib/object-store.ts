/** A small object store on loopback with S3's rules for PUT, HEAD and GET: lengths first, ETags, ranges, conditions. */
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'

export interface ObjectStore {
  url: string
  /** By path. */
  objects: Map<string, Buffer>
  /** `GET /a bytes=0-15`, in order. */
  calls: string[]
  close(): Promise<void>
}

export async function startObjectStore(): Promise<ObjectStore> {
  const objects = new Map<string, Buffer>()
  const calls: string[] = []
  const server: Server = createServer((request, response) => {
    const { method, url = '/', headers } = request
    calls.push([method, url, headers.range].filter(Boolean).join(' '))
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const answer = (status: number, fields: Record<string, string | number>, body?: Buffer) =>
        response.writeHead(status, fields).end(method === 'HEAD' ? undefined : body)
      if (method === 'PUT') {
        // S3: MissingContentLength.
        if (headers['content-length'] === undefined) return void answer(411, {})
        objects.set(url, Buffer.concat(chunks))
        return void answer(200, {})
      }
      const found = objects.get(url)
      if (found === undefined) return void answer(404, {})
      const etag = `"${createHash('md5').update(found).digest('hex')}"`
      if (headers['if-match'] !== undefined && headers['if-match'] !== etag)
        return void answer(412, {})
      const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')
      if (range === null) return void answer(200, { 'content-length': found.length, etag }, found)
      const [start, last] = [Number(range[1]), Math.min(Number(range[2]), found.length - 1)]
      if (start > last) return void answer(416, {})
      const part = found.subarray(start, last + 1)
      const fields = { 'content-range': `bytes ${start}-${last}/${found.length}`, etag }
      answer(206, { ...fields, 'content-length': part.length }, part)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    calls,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  }
}
