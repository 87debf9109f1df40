/** The relay's Worker: the gateway, and the class of the tenants' objects. */
export { default } from './app.ts'
export { Tenant } from './tenant.ts'
