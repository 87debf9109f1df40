/**
 * A bucket on loopback with as much of S3 as workerd's cluster mode uses: GET, PUT, DELETE, lists of names, and writes that count only if the object is absent
 * (`If-None-Match: *`) or is still the one that was read (`If-Match`). In memory; whoever reaches it may write.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'

/** One stored object. */
interface Stored {
  body: Buffer
  etag: string
  modified: Date
}

export interface Bucket {
  /** Of the service; the bucket is the first part of the path. */
  url: string
  /** Names with their bodies. */
  objects: Map<string, Stored>
  /** How many calls there were, by method and status. */
  counts: Map<string, number>
  close(): Promise<void>
}

/** Status, headers and body of an answer. */
type Answer = [status: number, headers?: Record<string, string | number>, body?: Buffer | string]

/** Names in one answer to a list. */
const PAGE = 1_000

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function problem(status: number, code: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`
  return [status, { 'content-type': 'application/xml' }, body]
}

/** ListObjectsV2. */
function list(objects: Bucket['objects'], bucket: string, query: URLSearchParams): Answer {
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter')
  const after = query.get('continuation-token') ?? query.get('start-after') ?? ''
  const most = Math.min(Number(query.get('max-keys') ?? PAGE), PAGE)
  const found = new Map<string, string>()
  let next: string | undefined
  for (const name of [...objects.keys()].toSorted()) {
    if (!name.startsWith(prefix) || name <= after) continue
    const end = delimiter === null ? -1 : name.indexOf(delimiter, prefix.length)
    const shared = end < 0 ? undefined : name.slice(0, end + delimiter!.length)
    if (shared !== undefined && (found.has(shared) || after.startsWith(shared))) continue
    if (found.size === most) {
      next = [...found.keys()].at(-1)!
      break
    }
    const { body, etag, modified } = objects.get(name)!
    found.set(
      shared ?? name,
      shared === undefined
        ? `<Contents><Key>${escape(name)}</Key><LastModified>${modified.toISOString()}</LastModified><ETag>${escape(etag)}</ETag><Size>${body.length}</Size></Contents>`
        : `<CommonPrefixes><Prefix>${escape(shared)}</Prefix></CommonPrefixes>`,
    )
  }
  const token =
    next === undefined ? '' : `<NextContinuationToken>${escape(next)}</NextContinuationToken>`
  const body = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>${escape(bucket)}</Name><Prefix>${escape(prefix)}</Prefix><KeyCount>${found.size}</KeyCount><MaxKeys>${most}</MaxKeys><IsTruncated>${next !== undefined}</IsTruncated>${token}${[...found.values()].join('')}</ListBucketResult>`
  return [200, { 'content-type': 'application/xml' }, body]
}

/** A write counts only under its condition. */
function put(
  objects: Bucket['objects'],
  name: string,
  headers: IncomingMessage['headers'],
  body: Buffer,
): Answer {
  const now = objects.get(name)
  if (headers['if-none-match'] === '*' && now !== undefined)
    return problem(412, 'PreconditionFailed')
  const match = headers['if-match']
  if (match !== undefined && now === undefined) return problem(404, 'NoSuchKey')
  if (match !== undefined && match !== now?.etag) return problem(412, 'PreconditionFailed')
  const etag = `"${createHash('md5').update(body).digest('hex')}"`
  objects.set(name, { body, etag, modified: new Date() })
  return [200, { etag }]
}

function get({ body, etag, modified }: Stored, headers: IncomingMessage['headers']): Answer {
  const fields = { etag, 'last-modified': modified.toUTCString() }
  if (headers['if-none-match'] === etag) return [304, fields]
  if (headers['if-match'] !== undefined && headers['if-match'] !== etag)
    return problem(412, 'PreconditionFailed')
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '')
  if (range === null) return [200, fields, body]
  const [start, end] = [Number(range[1]), range[2] === '' ? body.length - 1 : Number(range[2])]
  if (start >= body.length) return problem(416, 'InvalidRange')
  const last = Math.min(end, body.length - 1)
  const span = { 'content-range': `bytes ${start}-${last}/${body.length}` }
  return [206, { ...fields, ...span }, body.subarray(start, last + 1)]
}

function route(objects: Bucket['objects'], request: IncomingMessage, sent: Buffer): Answer {
  const { method, headers } = request
  const url = new URL(request.url!, 'http://bucket')
  const [bucket, ...rest] = decodeURIComponent(url.pathname).slice(1).split('/')
  const name = rest.join('/')
  if (name === '') return method === 'GET' ? list(objects, bucket!, url.searchParams) : [501]
  if (method === 'PUT') return put(objects, name, headers, sent)
  const stored = objects.get(name)
  if (method === 'DELETE') {
    const match = headers['if-match']
    if (match !== undefined && match !== stored?.etag) return problem(412, 'PreconditionFailed')
    objects.delete(name)
    return [204]
  }
  if (method !== 'GET' && method !== 'HEAD') return [501]
  return stored === undefined ? problem(404, 'NoSuchKey') : get(stored, headers)
}

/** Starts an empty one. */
export async function startBucket(): Promise<Bucket> {
  const objects: Bucket['objects'] = new Map()
  const counts: Bucket['counts'] = new Map()
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const [status, headers = {}, body = ''] = route(objects, request, Buffer.concat(chunks))
      const kind = `${request.method} ${status}`
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
      const length = { 'content-length': Buffer.byteLength(body) }
      response
        .writeHead(status, { ...headers, ...(status === 204 || status === 304 ? {} : length) })
        .end(request.method === 'HEAD' ? undefined : body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    counts,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
