// What no command can do is wrong usage, exit 2, before anything is written.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { endAccess, listAccess, makeToken } from '../../deriver/console/access.ts'
import { codeOf, tenant, useTenant } from '../lib/deriver.ts'
import { initAcme } from '../lib/init-acme.ts'
import { runCommand } from '../lib/in-process.ts'

useTenant()

it.each<[string, Record<string, unknown>]>([
  ['threshold', { threshold: '0' }],
  ['skew', { skew: '301' }],
  ['head-lifetime', { 'head-lifetime': '0' }],
  ['head-lifetime, too long', { 'head-lifetime': '604801' }],
  ['expires', { expires: '0' }],
  ['add-relay', { 'add-relay': ['nope'] }],
  ['add-origin', { 'add-origin': ['javascript:x'] }],
  ['add-san-clients', { 'add-san-clients': ['zz'] }],
])('trust propose with a wrong --%s', async (_, options) => {
  expect(await codeOf(runCommand(tenant.directory, 'trust propose', options))).toBe('ERR_USAGE')
})

it.each<[string, object]>([
  ['no name', { organization: '' }],
  ['a domain of hyphens and dots', { domain: '-.-' }],
  ['a label that ends with a hyphen', { domain: 'acme-.example' }],
  ['an empty label', { domain: 'acme..example' }],
  ['one label', { domain: 'acme' }],
])('init with %s', async (_, options) => {
  const directory = join(tenant.directory, 'other')
  expect(await codeOf(initAcme(directory, [], options))).toBe('ERR_USAGE')
  expect(existsSync(directory)).toBe(false)
})

it('init with a head lifetime that no trust document takes', async () => {
  const directory = join(tenant.directory, 'other')
  const options = { org: 'Acme', domain: 'acme.example', unsealed: true, 'head-lifetime': '0' }
  expect(await codeOf(runCommand(directory, 'init', options))).toBe('ERR_USAGE')
  expect(existsSync(directory)).toBe(false)
})

it('a request is named by its number', async () => {
  const approve = runCommand(tenant.directory, 'request approve', {}, 'x')
  await expect(approve).rejects.toThrow('ID is the number of a request, as request list shows it')
  expect(await codeOf(runCommand(tenant.directory, 'request deny', {}, 'x'))).toBe('ERR_USAGE')
})

it('an export of the log, which names clients, is its owner’s alone', async () => {
  const out = join(tenant.directory, 'acme.audit')
  await runCommand(tenant.directory, 'audit export', { out })
  expect(statSync(out).mode & 0o777).toBe(0o600)
})

it('console revoke NAME ends those of that name alone, also where it is "all"', async () => {
  const { store, clock, directory } = tenant
  for (const name of ['ada', 'all']) makeToken(store, name, 'token', 86_400, clock.now)
  expect(endAccess(store, 'all')).toBe(1)
  expect(listAccess(store, clock.now).map(({ name }) => name)).toEqual(['ada'])
  expect(await codeOf(runCommand(directory, 'console revoke', {}, 'all'))).toBe('ERR_NOT_FOUND')
  expect((await runCommand(directory, 'console revoke', { all: true })).stdout).toContain('1 ended')
  expect(endAccess(store, null)).toBe(0)
})
