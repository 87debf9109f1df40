/** What is told of a tenant as a whole, to its operator and to its derivers. */
import { type Bytes } from '../shared/bytes.ts'
import { type Quota } from './settings.ts'

/** The small documents of a tenant, encoded; CRLs as DER. */
export interface Documents {
  trust: Bytes[]
  crls: Bytes[]
  head: Bytes | null
  catalog: Bytes | null
}

/** Figures of a tenant that cost no scan; by the names that they have in Prometheus. */
export interface Gauges {
  bytes: number
  mailbox: number
  sockets: number
  suspended: number
  trust: number
  head_version: number
  head_expires_seconds: number
}

/** What a tenant has, for its operator. */
export interface Usage {
  tenant: string
  suspended: boolean
  quota: Quota
  usage: Omit<Quota, 'calls'>
  trust: number
  head: { incarnation: number; version: number } | null
}
