/**
 * The gateway: from an HTTP request to a method of the tenant's object. In this order, each step cheaper than the next: path and method,
 * media type, declared size, rate limit, signature, path, body and its hash, the call itself [relay-1]. What a client posts is small, and read first.
 */
import { type Context } from 'hono'
import { Hono } from 'hono/tiny'
import { paths } from '../shared/api.ts'
import { relayError } from '../shared/relay-codes.ts'
import { TENANT_ID } from '../shared/trust-following.ts'
import { admit } from './admission.ts'
import { readBody, requireLength, requireMediaType } from './body.ts'
import { brake, type Call, type Route } from './call.ts'
import { allowOrigin } from './cors.ts'
import { observe, REQUEST_HEADER } from './observe.ts'
import { fromTenant, json, problem, RelayError } from './problem.ts'
import { auditRoutes } from './routes/audit.ts'
import { callRoutes } from './routes/calls.ts'
import { deliveryRoutes } from './routes/delivery.ts'
import { enrolmentRoutes } from './routes/enrolment.ts'
import { mailboxRoutes } from './routes/mailbox.ts'
import { operatorRoutes, runOperator } from './routes/operator.ts'
import { pushRoutes, readPushedCrls } from './routes/push.ts'

/** Every route but that of health (docs/PROTOCOL.md, "HTTP"). */
export const routes: readonly Route[] = [
  ...enrolmentRoutes,
  ...pushRoutes,
  ...callRoutes,
  ...deliveryRoutes,
  ...mailboxRoutes,
  ...auditRoutes,
]

interface App {
  Bindings: Env
  /** Names the call in the log and in its answer. */
  Variables: { id: string }
}

function callOf(c: Context<App>): Call {
  const tenant = c.req.param('tenant') ?? ''
  const name = c.req.param('name') ?? ''
  const now = Math.floor(Date.now() / 1000)
  const request = c.req.raw
  return {
    env: c.env,
    request,
    url: new URL(request.url),
    tenant,
    name,
    body: new Uint8Array(),
    id: c.get('id'),
    now,
  }
}

async function run(route: Route, shape: Call): Promise<Response> {
  const { request } = shape
  const { limit = 0 } = route
  if (route.type !== undefined) requireMediaType(request, route.type)
  requireLength(request, limit)
  try {
    if (route.roles === null) {
      await brake(shape)
      return await route.handle({ ...shape, body: await readBody(request, limit) })
    }
    const isPush = route.path.endsWith('/push')
    const admitted = await admit(shape, route.roles, {
      signed: route.signed,
      limit,
      crlsIn: (body) => (isPush ? readPushedCrls(body) : []),
    })
    return await route.handle({ ...shape, ...admitted })
  } catch (error) {
    throw fromTenant(error)
  }
}

/** Answers with errors, and lets pages read what is answered. */
async function answer(call: Call, respond: () => Promise<Response>): Promise<Response> {
  let response: Response
  try {
    response = await respond()
  } catch (error) {
    response = problem(error, call.id)
    // What of it was not read, nobody wants to receive.
    const { body } = call.request
    if (body !== null && !body.locked) body.cancel().catch(() => {})
  }
  return call.tenant === '' ? response : allowOrigin(call.request, response)
}

const app = new Hono<App>()

app.use(async (c, next) => {
  const id = crypto.randomUUID()
  const began = Date.now()
  c.set('id', id)
  await next()
  const { method, path, raw } = c.req
  // The headers of an opened socket are the platform's.
  if (c.res.status !== 101) c.res.headers.set(REQUEST_HEADER, id)
  const milliseconds = Date.now() - began
  await observe(c.env, { id, method, path, request: raw, milliseconds, response: c.res })
})

// PROTOCOL [relay-1]
app.use(async (c, next) => {
  // The router takes other spellings of a path, too.
  const { host, pathname } = new URL(c.req.url)
  if (/%|.\/$/.test(pathname)) throw relayError('ERR_NOT_FOUND')
  // A signature is for a name: who takes others takes what was signed for another relay.
  const { HOSTS } = c.env
  // Whoever looks after the machine asks by its address.
  if (HOSTS && pathname !== paths.health && !HOSTS.toLowerCase().split(/[, ]+/).includes(host))
    throw relayError('ERR_NOT_FOUND')
  const [, version, tenant, more] = c.req.path.split('/')
  const isTenantPath = version === 'v1' && more !== undefined
  if (isTenantPath && !TENANT_ID.test(tenant!)) throw relayError('ERR_NOT_FOUND')
  await next()
})

/** Milliseconds that the storage is believed to answer: whoever asks for health is a stranger, and costs no call of an object each time. */
const WELL = 5_000
let wellAt = 0

app.get(paths.health, async (c) => {
  const now = Date.now()
  if (!(now >= wellAt && now - wellAt < WELL)) {
    if (!(await c.env.TENANT.getByName('health').ping()))
      throw new Error('the storage does not answer')
    wellAt = now
  }
  return json('{"status":"ok"}')
})

for (const route of routes) {
  app.on(route.method, route.path, (c) => {
    const call = callOf(c)
    return answer(call, () => run(route, call))
  })
}

for (const route of operatorRoutes) {
  app.on(route.method, route.path, async (c) => {
    try {
      return await runOperator(route, callOf(c))
    } catch (error) {
      return problem(fromTenant(error), c.get('id'))
    }
  })
}

for (const path of new Set(routes.map((route) => route.path))) {
  const allow = routes.filter((route) => route.path === path).map(({ method }) => method)
  app.all(path, (c) => {
    const error = new RelayError('ERR_METHOD', { headers: { allow: allow.join(', ') } })
    return problem(error, c.get('id'))
  })
}

app.all(paths.health, (c) =>
  problem(new RelayError('ERR_METHOD', { headers: { allow: 'GET' } }), c.get('id')),
)
app.notFound((c) => problem(relayError('ERR_NOT_FOUND'), c.get('id')))
app.onError((error, c) => problem(error, c.get('id')))

export default app
