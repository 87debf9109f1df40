/** docs/openapi.json as tests read it: its operations, and whether an answer of a relay is one that it lists. */
import openapi from '../../docs/openapi.json' with { type: 'json' }

/** The part of JSON Schema that the file uses. */
export interface JsonSchema {
  $ref?: string
  type?: string
  description?: string
  example?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: false
  items?: JsonSchema
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  contentEncoding?: 'base64url'
  minimum?: number
  maximum?: number
  enum?: string[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  discriminator?: { propertyName: string; mapping: Record<string, string> }
  allOf?: JsonSchema[]
  /** Of a text of so many lines of JSON. */
  'x-lines'?: JsonSchema[]
}

/** A body: of a call, or of an answer. */
export interface Body {
  content?: Record<string, { schema: JsonSchema }>
  'x-max-bytes'?: number
}

/** One method of one path. */
export interface Operation {
  operationId: string
  'x-roles': string[] | null
  security: Record<string, string[]>[]
  parameters?: { $ref?: string; name?: string; in?: string }[]
  requestBody?: Body & { required: true }
  responses: Record<string, Body & { description: string; 'x-message'?: JsonSchema }>
}

/** Names of the methods that the file may have. */
const METHODS = ['get', 'post'] as const
type PathItem = { [M in (typeof METHODS)[number]]?: Operation } & { parameters?: object[] }

export const document = openapi as unknown as {
  openapi: string
  paths: Record<string, PathItem>
  components: {
    schemas: Record<string, JsonSchema>
    parameters: Record<string, { name: string; in: string }>
    securitySchemes: Record<string, object>
  }
}

/** The schema that a reference leads to, or the schema itself. */
export function resolve(schema: JsonSchema): JsonSchema {
  if (schema.$ref === undefined) return schema
  const [, name] = /^#\/components\/schemas\/(\w+)$/.exec(schema.$ref) ?? []
  const found = document.components.schemas[name ?? '']
  if (found === undefined) throw new Error(`${schema.$ref} leads nowhere`)
  return resolve(found)
}

/** Every operation with its path and method. */
export function operations(): { path: string; method: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method]
      return operation === undefined ? [] : [{ path, method, operation }]
    }),
  )
}

/** The codes that a problem document of an answer may have. */
export function codesOf(answer: Body): string[] {
  const schema = answer.content?.['application/problem+json']?.schema
  return schema?.allOf?.flatMap((part) => part.properties?.['code']?.enum ?? []) ?? []
}

/** Throws unless the file lists this answer; of a path or method that it does not have it says nothing. */
export function requireListed(
  method: string,
  pathname: string,
  { status, code }: { status: number; code: string | undefined },
): void {
  const found = operations().find(
    (one) =>
      one.method === method.toLowerCase() &&
      new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(pathname),
  )
  if (found === undefined) return
  const answer = found.operation.responses[status]
  if (answer === undefined || (code !== undefined && !codesOf(answer).includes(code))) {
    const what = `${status} ${code ?? ''} of ${method} ${found.path}`
    throw new Error(`docs/openapi.json does not list ${what}`)
  }
}
