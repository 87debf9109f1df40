// The URI of a certificate: its host, and the rules that match it.
import { describe, expect, it } from 'vitest'
import { readUriHost } from '../../shared/names.ts'
import { matchesSanRule } from '../../shared/path.ts'
import { errorCode } from '../lib/odd-certificates.ts'

describe('readUriHost [path-6]', () => {
  it.each([
    ['keyferry://client.acme.example/alice', 'client.acme.example'],
    ['spiffe://Acme.Example', 'acme.example'],
    ['keyferry://acme.example:8443/a@b/%c3%81;v=1', 'acme.example'],
    ['x+y.z-1://a_b/', 'a_b'],
    ['https://10.example.4a/', '10.example.4a'],
  ])('reads %s', (uri, host) => {
    expect(readUriHost(uri)).toBe(host)
  })

  it.each([
    '',
    'client.acme.example/alice',
    'urn:acme:alice',
    'keyferry:/client.acme.example/alice',
    'keyferry:///alice',
    'keyferry://user@client.acme.example/alice',
    'keyferry://client.acme.example@evil.example/alice',
    'keyferry://client.acme.example/alice?x',
    'keyferry://client.acme.example/alice#x',
    'keyferry://client.acme.example?x',
    'keyferry://client.acme.example#x',
    'keyferry://client.acme.example./alice',
    'keyferry://.acme.example/alice',
    'keyferry://client..acme.example/alice',
    'keyferry://10.0.0.1/alice',
    'keyferry://1/alice',
    'keyferry://[::1]/alice',
    'keyferry://client.acme%2eexample/alice',
    'keyferry://client.acme.example/al ice',
    'keyferry://client.acme.example/al%2',
    'keyferry://client.acme.example/al\\ice',
    'keyferry://client.acme.example/alice\n',
    'keyferry://client.acme.example:/alice',
    'keyferry://client.acme.example:x/alice',
    '1://client.acme.example/alice',
  ])('refuses %j', async (uri) => {
    expect(await errorCode(() => readUriHost(uri))).toBe('ERR_CERT_PROFILE')
  })
})

describe('matchesSanRule', () => {
  const rule = 'keyferry://client.acme.example/*'
  it.each([
    [rule, 'keyferry://client.acme.example/alice', true],
    [rule, 'keyferry://client.acme.example/a/b', true],
    [rule, 'keyferry://client.acme.example/*', true],
    [rule, 'keyferry://client.acme.example/', false],
    [rule, 'keyferry://client.acme.example', false],
    [rule, 'keyferry://CLIENT.acme.example/alice', false],
    [rule, 'keyferry://client.acme.example.evil.example/alice', false],
    [rule, 'xkeyferry://client.acme.example/alice', false],
    ['keyferry://h/alice', 'keyferry://h/alice', true],
    ['keyferry://h/alice', 'keyferry://h/alice2', false],
    ['keyferry://h/al*', 'keyferry://h/alice', false],
    ['keyferry://h/al*', 'keyferry://h/al*', true],
    ['*', 'keyferry://h/alice', false],
  ])('%s and %s: %s', (pattern, uri, verdict) => {
    expect(matchesSanRule(uri, pattern)).toBe(verdict)
  })
})
