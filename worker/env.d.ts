// The Worker's bindings, as wrangler.toml declares them.
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./index.ts')
    durableNamespaces: 'Tenant' | 'Registry'
  }
  interface Env {
    TENANT: DurableObjectNamespace<import('./tenant.ts').Tenant>
    REGISTRY: DurableObjectNamespace<import('./registry.ts').Registry>
    /** Absent under plain workerd: check before use. */
    RATE?: RateLimit
    /** Absent unless wrangler.toml binds a data set: check before use. */
    ANALYTICS?: AnalyticsEngineDataset
    /** Share of calls that are logged, 0 to 1; those that failed in the relay always are. */
    LOG_SAMPLE?: string
    /** Names of the relay, with a port that is not the scheme's, separated by commas: calls to others are not found. Without it, every name that leads here. */
    HOSTS?: string
    /** Secrets that admit new tenants, separated by commas. Without it enrolment is closed. */
    INVITES?: string
    /** Bearer secret of the operator API, at least 32 characters. Without it the API is off. */
    OPERATOR_SECRET?: string
  }
}

interface Env extends Cloudflare.Env {}

declare module '*.sql' {
  const text: string
  export default text
}
