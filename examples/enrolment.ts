import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { Hono } from 'hono'
import { setCookie } from 'hono/cookie'
import { parse } from 'hono/utils/cookie'
import { openClientCa } from 'keyferry/deriver'
import { createEnrolment, toListener } from 'keyferry/enrolment'

const { KEYFERRY_PASSPHRASE: passphrase = null, PORT = '3000' } = process.env
const { ORIGIN: origin = `http://127.0.0.1:${PORT}` } = process.env
const uri = 'keyferry://client.acme.example/me'

// Your login in place of this one: whoever opens the address that is printed is "me".
const ticket = randomBytes(32).toString('base64url')
const sessionOf = (request: Request) => {
  const { session } = parse(request.headers.get('cookie') ?? '', 'session')
  return session === ticket ? { id: ticket, uri } : null
}

const enrolment = createEnrolment({
  ca: await openClientCa({ directory: 'keyferry', passphrase }),
  session: sessionOf,
  secret: new Uint8Array(randomBytes(32)), // the same in all instances
  origins: [origin],
})

const app = new Hono()
app.all('/enroll', (c) => enrolment(c.req.raw))
app.get('/login/:ticket', (c) => {
  const { ticket: session } = c.req.param()
  setCookie(c, 'session', session, { httpOnly: true, sameSite: 'Strict' })
  return c.redirect('/')
})
const serve = toListener(app.fetch)
const server = createServer((request, response) => void serve(request, response))
server.listen(Number(PORT), '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  console.log(`http://127.0.0.1:${port}/login/${ticket}`)
})
