// The Worker's bindings, as wrangler.toml declares them.
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./index.ts')
    durableNamespaces: 'Tenant'
  }
  interface Env {
    TENANT: DurableObjectNamespace<import('./tenant.ts').Tenant>
    /** Absent under plain workerd: check before use. */
    RATE?: RateLimit
    /** Secrets that admit new tenants, separated by commas. Without it enrolment is closed. */
    INVITES?: string
  }
}

interface Env extends Cloudflare.Env {}

declare module '*.sql' {
  const text: string
  export default text
}
