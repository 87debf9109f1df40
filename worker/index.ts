/** The relay's Worker: the gateway, and the classes of the tenants' objects and of their list. */
export { default } from './app.ts'
export { Registry } from './registry.ts'
export { Tenant } from './tenant.ts'
