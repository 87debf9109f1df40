/** The relay with one more route that does nothing: what everything else is measured against. */
import { type Context } from 'hono'
import app from '../../worker/app.ts'

// Pages may read it.
const bare = (c: Context): Response => c.text('ok', 200, { 'access-control-allow-origin': '*' })
app.get('/bare', bare)
app.post('/bare', bare)

export default app
export { Registry } from '../../worker/registry.ts'
export { Tenant } from '../../worker/tenant.ts'
