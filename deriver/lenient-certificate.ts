/**
 * Reads a certificate as far as it goes, for tools that explain what is wrong with one (`keyferry ca check`). It decides nothing:
 * shared/x509.ts does.
 */
import { hex, type Bytes } from '../shared/bytes.ts'
import { BIT_STRING, type DerReader, OCTET_STRING, readDer, SEQUENCE, SET } from '../shared/der.ts'

/** An extension as it stands. */
export interface LenientExtension {
  critical: boolean
  value: Bytes
}

/** What a certificate says, believed in nothing. */
export interface LenientCertificate {
  der: Bytes
  /** 1 to 3. */
  version: number
  serial: Bytes
  /** Dotted OIDs of the signature algorithm, inside and outside, and of the key. */
  innerAlgorithm: string
  outerAlgorithm: string
  keyAlgorithm: string
  sameAlgorithm: boolean
  /** Dotted OID of the curve of an EC key. */
  curve: string | undefined
  issuer: Bytes
  subject: Bytes
  hasSubject: boolean
  notBefore: number
  notAfter: number
  spki: Bytes
  /** The first of each. */
  extensions: Map<string, LenientExtension>
  repeated: string[]
}

/** The OID of an AlgorithmIdentifier and, where it has one, of its parameter. */
function readAlgorithm(raw: Bytes): { oid: string; parameter: string | undefined } {
  return readDer(raw, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      const oid = reader.oid()
      const parameter = reader.has(0x06) ? reader.oid() : undefined
      while (!reader.done) reader.element()
      return { oid, parameter }
    }),
  )
}

function readExtensions(reader: DerReader): Pick<LenientCertificate, 'extensions' | 'repeated'> {
  const extensions = new Map<string, LenientExtension>()
  const repeated: string[] = []
  reader.inside(SEQUENCE, (list) => {
    while (!list.done) {
      list.inside(SEQUENCE, (one) => {
        const oid = one.oid()
        const critical = one.flag()
        const value = one.read(OCTET_STRING)
        if (extensions.has(oid)) repeated.push(oid)
        else extensions.set(oid, { critical, value })
      })
    }
  })
  return { extensions, repeated }
}

/** Reads a certificate. Throws `ERR_MALFORMED` where it is not DER of one. */
export function readLenient(der: Bytes): LenientCertificate {
  return readDer(der, (outer) =>
    outer.inside(SEQUENCE, (certificate) => {
      const tbs = certificate.element(SEQUENCE).raw
      const outerRaw = certificate.element(SEQUENCE).raw
      certificate.read(BIT_STRING)
      return readDer(tbs, (wrapper) =>
        wrapper.inside(SEQUENCE, (reader) => {
          const version = reader.has(0xa0) ? reader.inside(0xa0, (inner) => inner.count()) : 0
          const serial = reader.integer()
          const innerRaw = reader.element(SEQUENCE).raw
          const issuer = reader.element(SEQUENCE).raw
          const [notBefore, notAfter] = reader.inside(SEQUENCE, (inner) => [
            inner.time(),
            inner.time(),
          ])
          const { raw: subject, content } = reader.element(SEQUENCE)
          const spki = reader.element(SEQUENCE).raw
          const key = readDer(spki, (all) =>
            all.inside(SEQUENCE, (inner) => {
              const algorithm = readAlgorithm(inner.element(SEQUENCE).raw)
              inner.read(BIT_STRING)
              return algorithm
            }),
          )
          // Unique identifiers of version 2.
          while (!reader.done && !reader.has(0xa3)) reader.element()
          const found = reader.done
            ? { extensions: new Map<string, LenientExtension>(), repeated: [] }
            : reader.inside(0xa3, readExtensions)
          return {
            der,
            version: version + 1,
            serial,
            innerAlgorithm: readAlgorithm(innerRaw).oid,
            outerAlgorithm: readAlgorithm(outerRaw).oid,
            sameAlgorithm: hex(innerRaw) === hex(outerRaw),
            keyAlgorithm: key.oid,
            curve: key.parameter,
            issuer,
            subject,
            hasSubject: content.length > 0,
            notBefore,
            notAfter,
            spki,
            ...found,
          }
        }),
      )
    }),
  )
}

/** Reads the value of an extension; undefined where it is missing or not what it should be. */
export function readExtension<T>(
  { extensions }: LenientCertificate,
  oid: string,
  body: (reader: DerReader) => T,
): T | undefined {
  const extension = extensions.get(oid)
  if (extension === undefined) return undefined
  try {
    return readDer(extension.value, body)
  } catch {
    return undefined
  }
}

/** URIs of a list of GeneralNames, and how many other names stand beside them. */
export function readUris(reader: DerReader): { uris: string[]; others: number } {
  const uris: string[] = []
  let others = 0
  reader.inside(SEQUENCE, (names) => {
    while (!names.done) {
      const { tag, content } = names.element()
      if (tag === 0x86) uris.push(String.fromCharCode(...content.subarray(0, 2_048)))
      else others++
    }
  })
  return { uris, others }
}

/** URI constraints of a CA, and how many of other forms. */
export function readUriConstraints(reader: DerReader): {
  permitted: string[]
  excluded: string[]
  others: number
} {
  const out = { permitted: [] as string[], excluded: [] as string[], others: 0 }
  reader.inside(SEQUENCE, (constraints) => {
    while (!constraints.done) {
      const { tag, content } = constraints.element()
      readDer(content, (list) => {
        while (!list.done) {
          list.inside(SEQUENCE, (tree) => {
            const base = tree.element()
            if (base.tag !== 0x86) out.others++
            else
              (tag === 0xa0 ? out.permitted : out.excluded).push(
                String.fromCharCode(...base.content.subarray(0, 2_048)),
              )
            while (!tree.done) {
              tree.element()
              out.others++
            }
          })
        }
      })
    }
  })
  return out
}

/** Values of an attribute of a DER Name, such as 2.5.4.3 (common name) or 2.5.4.10 (organization); none where it is no name. */
export function nameValues(name: Bytes, oid: string): string[] {
  const values: string[] = []
  try {
    readDer(name, (outer) =>
      outer.inside(SEQUENCE, (sets) => {
        while (!sets.done) {
          sets.inside(SET, (pairs) => {
            while (!pairs.done) {
              pairs.inside(SEQUENCE, (pair) => {
                const isWanted = pair.oid() === oid
                const { content } = pair.element()
                if (isWanted) values.push(new TextDecoder().decode(content.slice(0, 256)))
              })
            }
          })
        }
      }),
    )
  } catch {
    // Not a name: the caller says so elsewhere.
  }
  return values
}

/** Common name of a DER Name, or its first octets where it has none; for people to recognise. */
export function nameText(name: Bytes): string {
  const values = nameValues(name, '2.5.4.3')
  return values.length > 0 ? values.join(', ') : `name ${hex(name).slice(0, 24)}…`
}

/** A serial number, hex of its DER content, as CAs and openssl show it: without the octet that only says it is positive. */
export function serialText(serial: string): string {
  return serial.replace(/^00(?=..)/, '')
}
