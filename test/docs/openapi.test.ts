// docs/openapi.json says what the relay does: the same routes, roles, types, limits, codes and bodies. That every answer is listed, test/lib/calls.ts sees to.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { JSON_TYPE, paths, STATUS, TEXT_TYPE } from '../../shared/api.ts'
import { decodeDelivery, deliverySchema } from '../../shared/delivery.ts'
import * as derivers from '../../shared/deriver-calls.ts'
import { eventSchema } from '../../shared/events.ts'
import { callName, callSchema } from '../../shared/client-calls.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { SENTENCES } from '../../shared/relay-codes.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { newsSchema } from '../../shared/news.ts'
import { readTicket } from '../../shared/ticket.ts'
import {
  MAX_BATCH,
  MAX_DELIVERY,
  MAX_ENVELOPE,
  MAX_HEADS_ANSWER,
  MAX_OBJECT,
  MAX_PUSH,
} from '../../shared/limits.ts'
import { base64url, utf8, type Bytes } from '../../shared/bytes.ts'
import { type Schema } from '../../shared/schema.ts'
import { TENANT_ID } from '../../shared/trust-following.ts'
import { routes } from '../../worker/app.ts'
import { operatorRoutes } from '../../worker/routes/operator.ts'
import { DEFAULT_QUOTA, QUOTA_NAMES } from '../../worker/settings.ts'
import { codesOf, document, operations, resolve, type JsonSchema } from '../lib/openapi.ts'
import { probesOf } from '../lib/openapi-probes.ts'

const { schemas, parameters, securitySchemes } = document.components
const nameOf = ({ path, method }: { path: string; method: string }) =>
  `${method.toUpperCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`
const listed = new Map(operations().map((one) => [nameOf(one), one.operation]))

/** The component that a reference names. */
const componentOf = (schema: JsonSchema | undefined) => schema?.$ref?.split('/').at(-1)

describe('routes', () => {
  it('the paths and methods are those of worker/app.ts, and that of health', () => {
    const own = [...routes.map(nameOf), `GET ${paths.health}`]
    expect([...listed.keys()].toSorted()).toEqual(own.toSorted())
    expect(new Set([...listed.values()].map((one) => one.operationId)).size).toBe(listed.size)
  })

  it.each(routes.map((route) => [nameOf(route), route] as const))('%s', (name, route) => {
    const operation = listed.get(name)!
    expect(operation['x-roles']?.toSorted() ?? null).toEqual(route.roles?.toSorted() ?? null)
    const signed = route.roles === null ? undefined : (route.signed ?? 'headers')
    const scheme = { ticket: [{ ticket: [] }], headers: [{ signature: [] }], body: [] }
    expect(operation.security).toEqual(signed === undefined ? [] : scheme[signed])
    const headers = (operation.parameters ?? []).flatMap(
      ({ $ref }) => $ref?.split('/').at(-1) ?? [],
    )
    expect(headers).toEqual(
      signed === 'headers' ? ['ContentDigest', 'SignatureInput', 'KeyferryCertificates'] : [],
    )
    const { requestBody, responses } = operation
    expect(Object.keys(requestBody?.content ?? {})).toEqual(
      route.type === undefined ? [] : [route.type],
    )
    expect(requestBody?.['x-max-bytes'] ?? 0).toBe(route.limit ?? 0)
    const always = ['ERR_TOO_LARGE', 'ERR_INTERNAL', 'ERR_NOT_FOUND']
    if (route.type !== undefined) always.push('ERR_MEDIA_TYPE')
    if (route.type !== undefined) always.push('ERR_TIMEOUT')
    if (route.roles !== null) always.push('ERR_UNAUTHORIZED', 'ERR_QUOTA', 'ERR_SUSPENDED')
    const codes = Object.values(responses).flatMap(codesOf)
    expect(codes).toEqual(expect.arrayContaining(always))
    expect(new Set(codes).size).toBe(codes.length)
  })

  it('each code exists and stands under its own status', () => {
    const odd = [...listed].flatMap(([name, { responses }]) =>
      Object.entries(responses).flatMap(([status, answer]) => {
        const isProblem = Number(status) >= 400
        const codes = codesOf(answer)
        if (isProblem !== codes.length > 0) return [`${name}: ${status}`]
        return codes
          .filter(
            (code) =>
              !Object.hasOwn(ERROR_CODES, code) ||
              String(STATUS[code as ErrorCode] ?? 400) !== status,
          )
          .map((code) => `${name}: ${status} ${code}`)
      }),
    )
    expect(odd).toEqual([])
  })

  it('a relay has the sentence of each code', () => {
    const codes = [...listed.values()].flatMap(({ responses }) =>
      Object.values(responses).flatMap(codesOf),
    )
    expect(codes.filter((code) => !Object.hasOwn(SENTENCES, code))).toEqual([])
  })

  it('the answers have the limits of shared/limits.ts', () => {
    const limits = [...listed].flatMap(([name, { responses }]) =>
      Object.values(responses).flatMap((answer) => {
        const limit = answer['x-max-bytes']
        return limit === undefined ? [] : [[name, limit]]
      }),
    )
    expect(Object.fromEntries(limits)).toEqual({
      'GET /v1/{tenant}/head': MAX_ENVELOPE,
      'GET /v1/{tenant}/heads': MAX_HEADS_ANSWER,
      'GET /v1/{tenant}/objects': MAX_BATCH,
      'GET /v1/{tenant}/objects/{name}': MAX_OBJECT,
      'GET /v1/{tenant}/requests': MAX_PUSH,
      'POST /v1/{tenant}/calls': MAX_DELIVERY,
    })
  })

  it('the bodies are those of the schemas below', () => {
    const bodies = [...listed].flatMap(([name, { requestBody, responses }]) => {
      const answers = Object.values(responses).map(({ content }) => content?.[JSON_TYPE]?.schema)
      const asked = requestBody?.content?.[JSON_TYPE]?.schema
      const message = responses['101']?.['x-message']
      return [asked, ...answers, message].flatMap((schema) =>
        schema === undefined ? [] : [`${name}: ${componentOf(schema)}`],
      )
    })
    expect([...new Set(bodies)].toSorted()).toEqual([
      'GET /healthz: Health',
      'GET /v1/{tenant}/documents: Documents',
      'GET /v1/{tenant}/events: Event',
      'GET /v1/{tenant}/head: Envelope',
      'GET /v1/{tenant}/heads: Heads',
      'GET /v1/{tenant}/requests: Mailbox',
      'POST /v1/tenants: Enrolled',
      'POST /v1/tenants: Enrolment',
      'POST /v1/{tenant}/answers: Answers',
      'POST /v1/{tenant}/calls: News',
      'POST /v1/{tenant}/push: Push',
      'POST /v1/{tenant}/trust: Envelope',
    ])
  })

  it('every reference leads somewhere, and everything is referred to', () => {
    const refs = [...JSON.stringify(document).matchAll(/"#\/components\/(\w+)\/(\w+)"/g)]
    const used = new Set(refs.map(([, kind, name]) => `${kind}/${name}`))
    const there = Object.entries({ schemas, parameters }).flatMap(([kind, all]) =>
      Object.keys(all).map((name) => `${kind}/${name}`),
    )
    expect([...used].toSorted()).toEqual(there.toSorted())
    expect(Object.keys(securitySchemes)).toEqual(['signature', 'ticket'])
    expect(schemas['Tenant']?.pattern).toBe(TENANT_ID.source)
  })
})

const TICKET_URL = new URL('wss://relay.example/v1/x/events')
const ticket: Schema<unknown> = (value) => {
  try {
    return readTicket(base64url(utf8(JSON.stringify(value))), TICKET_URL)
  } catch (error) {
    // Whatever is wrong with a ticket is one code; what its schema says stands behind it.
    if (!isKeyferryError(error) || error.cause !== undefined) throw (error as Error).cause
    return null
  }
}

/** The schemas by which relay, deriver and client decode. */
const real: Record<string, Schema<unknown>> = {
  Answers: derivers.answersSchema,
  Delivery: deliverySchema,
  Credentials: ticket,
  DeliveryCall: callSchema,
  DeliveryEvent: eventSchema,
  Documents: derivers.documentsSchema,
  Enrolment: derivers.enrolmentSchema,
  Envelope: envelopeSchema,
  HeadEvent: eventSchema,
  Heads: derivers.headsSchema,
  KeyRequest: derivers.requestSchema,
  News: newsSchema,
  Mailbox: derivers.mailboxSchema,
  ObjectCall: callSchema,
  PlainEvent: eventSchema,
  Push: derivers.pushSchema,
  RequestCall: callSchema,
  WaitCall: callSchema,
}

/** The code with which a schema refuses a value, or "ok". */
function codeOf(schema: Schema<unknown>, value: unknown): string {
  try {
    schema(value, '')
    return 'ok'
  } catch (error) {
    if (isKeyferryError(error)) return error.code
    throw error
  }
}

describe('the operator', () => {
  it('the calls of docs/OPERATIONS.md are those of the relay', () => {
    const page = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8')
    const calls = [...page.matchAll(/^\| `(GET|POST) (\/(?:operator|metrics)[^?`]*)/gm)]
    expect(calls.map(([, method, path]) => `${method} ${path}`)).toEqual(operatorRoutes.map(nameOf))
    for (const name of QUOTA_NAMES) {
      const row = new RegExp(`^\\| \`${name}\` +\\| ([\\d,]+) `, 'm').exec(page)
      expect(row?.[1]).toBe(DEFAULT_QUOTA[name].toLocaleString('en'))
    }
  })
})

describe('bodies', () => {
  it('every schema of a body of JSON that anybody decodes is looked at', () => {
    const decoded = [...listed.values()].flatMap(({ requestBody, responses }) => [
      componentOf(requestBody?.content?.[JSON_TYPE]?.schema),
      ...Object.values(responses).map(({ content }) => componentOf(content?.[JSON_TYPE]?.schema)),
    ])
    const others = decoded.flatMap((name) => (name === undefined || name in real ? [] : [name]))
    expect(new Set(others)).toEqual(new Set(['Enrolled', 'Health']))
    const parts = (name: string) => schemas[name]?.oneOf?.map(componentOf)
    expect(parts('Event')).toEqual(['HeadEvent', 'DeliveryEvent', 'PlainEvent'])
    expect(parts('Call')).toEqual(['DeliveryCall', 'ObjectCall', 'RequestCall', 'WaitCall'])
  })

  it('the body of a delivery has the JSON that is described', () => {
    const event = eventSchema(schemas['DeliveryEvent']!.example, '')
    const { crls, keyrings } = decodeDelivery((event as { delivery: Bytes }).delivery)
    const example = deliverySchema(schemas['Delivery']!.example, '')
    expect(crls.map((one) => one.length)).toEqual(example.crls)
    expect(keyrings.map(({ bundle, manifest }) => [bundle.length, manifest.length])).toEqual(
      example.keyrings.map(({ bundle, manifest }) => [bundle, manifest]),
    )
  })

  it('what a client posts is two lines: credentials and a call', () => {
    const { requestBody } = listed.get('POST /v1/{tenant}/calls')!
    const lines = requestBody!.content![TEXT_TYPE]!.schema['x-lines']
    expect(lines?.map(componentOf)).toEqual(['Credentials', 'Call'])
  })

  it('a call is told by its name', () => {
    const { oneOf, discriminator } = schemas['Call']!
    const named = oneOf!.map(({ $ref }) => [callName(resolve({ $ref: $ref! }).example), $ref])
    expect(discriminator).toEqual({ propertyName: 'call', mapping: Object.fromEntries(named) })
  })

  it.each(Object.entries(real))(
    '%s has the fields and limits of the real schema',
    (name, schema) => {
      const { example } = schemas[name]!
      expect(codeOf(schema, example)).toBe('ok')
      const probes = probesOf({ $ref: `#/components/schemas/${name}` }, example)
      const odd = probes.filter(({ value, isListed }) => {
        const code = codeOf(schema, value)
        // An envelope of a field at its limit may as a whole be too large.
        return isListed ? code !== 'ok' && code !== 'ERR_TOO_LARGE' : code === 'ok'
      })
      expect(odd.map(({ what }) => what)).toEqual([])
    },
  )
})
