/**
 * Name constraints (RFC 5280 §4.2.1.10) of hosts, mail addresses, IP addresses and directory names, for docs/PROTOCOL.md, "Paths", `[path-7]`: names.ts has
 * those of URIs, which all paths of the protocol are about, and loads these with the first CA that has others.
 */
import { equal, type Bytes } from './bytes.ts'
import { readDer, SEQUENCE, SET } from './der.ts'
import {
  HOST,
  invalid,
  isHostWithin,
  isUriWithin,
  TAG_DIRECTORY,
  TAG_DNS,
  TAG_EMAIL,
  TAG_IP,
  TAG_URI,
  type GeneralName,
} from './names.ts'

const DNS_NAME = new RegExp(`^(?:\\*\\.)?${HOST}$`, 'i')
const DNS_CONSTRAINT = new RegExp(`^(?:${HOST})?$`, 'i')
const EMAIL = new RegExp(`^([^@\\s\\x00-\\x1f]+)@(${HOST})$`, 'i')

/** The host itself and everything below it. `canOverlap`: a wildcard that may stand for a name below the constraint counts as well. */
function isDnsWithin(name: string, constraint: string, canOverlap: boolean): boolean {
  if (!DNS_NAME.test(name) || !DNS_CONSTRAINT.test(constraint)) throw invalid('not a host name')
  const [host, wanted] = [name.toLowerCase(), constraint.toLowerCase()]
  const isBelow = (one: string, other: string): boolean =>
    other === '' || one === other || one.endsWith(`.${other}`)
  if (isBelow(host, wanted)) return true
  return canOverlap && host.startsWith('*.') && isBelow(wanted, host.slice(2))
}

/** A mailbox, all mailboxes of a host, or with a leading dot those of the hosts below it. */
function isEmailWithin(address: string, constraint: string): boolean {
  const name = EMAIL.exec(address)
  if (!name) throw invalid('not a mail address')
  const host = name[2]!.toLowerCase()
  const base = EMAIL.exec(constraint)
  if (!base) return isHostWithin(host, constraint)
  return name[1] === base[1] && host === base[2]!.toLowerCase()
}

/** Address and mask, 4 or 16 octets each; a mask is ones and then zeros. */
function isIpWithin(address: Bytes, constraint: Bytes): boolean {
  const length = constraint.length / 2
  if (![4, 16].includes(length) || ![4, 16].includes(address.length))
    throw invalid('not an address')
  const mask = constraint.subarray(length)
  const bits = Array.from(mask, (octet) => octet.toString(2).padStart(8, '0')).join('')
  if (!/^1*0*$/.test(bits)) throw invalid('a mask with gaps')
  if (address.length !== length) return false
  return mask.every((octet, i) => (address[i]! & octet) === (constraint[i]! & octet))
}

function readRdns(name: Bytes): Bytes[] {
  return readDer(name, (outer) =>
    outer.inside(SEQUENCE, (names) => {
      const parts: Bytes[] = []
      while (!names.done) parts.push(names.element(SET).raw)
      return parts
    }),
  )
}

/** A name is within another one that it begins with. */
function isDirectoryWithin(name: Bytes, constraint: Bytes): boolean {
  const parts = readRdns(name)
  return readRdns(constraint).every((part, i) => parts[i] !== undefined && equal(parts[i], part))
}

/** Whether a name is within a constraint of its form. For an excluded one, `isExcluding`: what overlaps it is within. Throws `ERR_PATH_INVALID`, `ERR_CERT_PROFILE`. */
export function isWithin(name: GeneralName, base: GeneralName, isExcluding: boolean): boolean {
  if (base.tag === TAG_URI) return isUriWithin(name, base)
  if (base.tag === TAG_DNS) return isDnsWithin(name.text, base.text, isExcluding)
  if (base.tag === TAG_EMAIL) return isEmailWithin(name.text, base.text)
  if (base.tag === TAG_IP) return isIpWithin(name.content, base.content)
  if (base.tag === TAG_DIRECTORY) return isDirectoryWithin(name.content, base.content)
  throw invalid('a name constraint of another form')
}
