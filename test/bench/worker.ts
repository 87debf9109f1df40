/** The relay with one more route that does nothing: what everything else is measured against. */
import app from '../../worker/app.ts'

app.get('/bare', (c) => c.text('ok'))
app.post('/bare', (c) => c.text('ok'))

export default app
export { Registry } from '../../worker/registry.ts'
export { Tenant } from '../../worker/tenant.ts'
