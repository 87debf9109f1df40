/** What Cloudflare and others charge, as published, and what a call costs by it. US dollars, without the units that a plan includes. */

/** When the prices were looked at, and where they stand. */
export const PRICES_OF = '2026-11'
/** Per million, but for `gbSecond`. */
export const PRICES = {
  request: { price: 0.3, unit: 'million requests of the Worker', page: 'workers/platform/pricing' },
  cpu: { price: 0.02, unit: 'million milliseconds of CPU', page: 'workers/platform/pricing' },
  objectRequest: {
    price: 0.15,
    unit: 'million requests of an object',
    page: 'durable-objects/platform/pricing',
  },
  gbSecond: {
    price: 12.5,
    unit: 'million GB-s of an object',
    page: 'durable-objects/platform/pricing',
  },
  rowRead: { price: 0.001, unit: 'million rows read', page: 'durable-objects/platform/pricing' },
  rowWritten: { price: 1, unit: 'million rows written', page: 'durable-objects/platform/pricing' },
  logLine: { price: 0.6, unit: 'million lines of log', page: 'workers/platform/pricing' },
} as const

/** What others take for a million calls of a key, beside a price for each key and month. */
export const OTHERS: readonly { name: string; perMillion: number; key: string }[] = [
  { name: 'AWS KMS', perMillion: 3, key: '$1 a month' },
  { name: 'Google Cloud KMS, software', perMillion: 3, key: '$0.06 a month for each version' },
  { name: 'Google Cloud KMS, HSM', perMillion: 3, key: '$1 a month for each version' },
  { name: 'Google Cloud EKM', perMillion: 3, key: '$3 a month for each version' },
]

/** GB that an object is billed for while it works. */
const OBJECT_GB = 0.128
/** Share of calls that wrangler.toml has logged. */
export const SAMPLE = 0.01

/** What the object of a tenant did since the last look. */
export interface Count {
  calls: number
  read: number
  written: number
}

/** What one call took. */
export interface Measured {
  /** Calls of the Worker, and of objects. */
  requests: number
  objectRequests: number
  /** Milliseconds of CPU, gateway and object together: the object is billed for no longer. */
  cpu: number
  read: number
  written: number
}

/** Dollars for a million such calls. */
export function costOfMillion({ requests, objectRequests, cpu, read, written }: Measured): number {
  const gbSeconds = (OBJECT_GB * cpu) / 1_000
  return (
    requests * PRICES.request.price +
    cpu * PRICES.cpu.price +
    objectRequests * PRICES.objectRequest.price +
    gbSeconds * PRICES.gbSecond.price +
    read * PRICES.rowRead.price +
    written * PRICES.rowWritten.price +
    requests * SAMPLE * PRICES.logLine.price
  )
}
