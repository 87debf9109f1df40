/** How long a relay remembers that a certificate is revoked, and of whom [relay-4]. What callers see of it is in test/relay/admission.test.ts. */
import { beforeEach, describe, expect, it } from 'vitest'
import { parseCrl } from '../../shared/crl.ts'
import { type Role } from '../../shared/envelope.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { type Call } from '../../worker/call.ts'
import { RelayError } from '../../worker/problem.ts'
import { refuseRevoked, rememberRevoked } from '../../worker/revoked.ts'
import { type Standing } from '../../worker/standing.ts'
import {
  issueSigner,
  makeCa,
  makeWorld,
  renewCrl,
  revoke,
  uriOf,
  type World,
} from '../lib/world.ts'

const CLIENT: Role[] = ['client']
let world: World
let lost: Signer
beforeEach(async () => {
  world = await makeWorld()
  lost = await issueSigner(world.cas.client, uriOf('client', 'lost'), world.now)
  await revoke(world.cas.client, lost, world.now)
})

const at = (time: number): Call => ({ now: world.now + time }) as Call

/** What is in force now. Each world's is another one, and so is remembered apart. */
async function standing(crls = [world.cas.deriver.crl, world.cas.client.crl]): Promise<Standing> {
  const lists = crls.map((der) => ({ hash: sha256(der), crl: parseCrl(der) }))
  const trust = await verifyGenesis(world.trusts[0]!, world.tenant)
  return { trust, crls: lists, tag: world.tenant }
}

/** `list` for a refusal that shows it, `stranger` for one that does not, `asked` for whose path is validated. */
function verdict(time: number, now: Standing, of = lost, roles = CLIENT): string {
  try {
    refuseRevoked(at(time), of.certificates, roles, now)
    return 'asked'
  } catch (error) {
    expect(isKeyferryError(error, 'ERR_NOT_FOUND')).toBe(true)
    if (!(error instanceof RelayError)) return 'stranger'
    expect(error.crl).toEqual(world.cas.client.crl)
    return 'list'
  }
}

describe('[relay-4] that a certificate is revoked', () => {
  it('is remembered for a minute, in which the list is shown four times', async () => {
    const now = await standing()
    expect(verdict(0, now)).toBe('asked')
    await rememberRevoked(at(0), lost.certificates, CLIENT, now)
    expect([0, 1, 2, 3].map((time) => verdict(time, now))).toEqual(['list', 'list', 'list', 'list'])
    expect([4, 59, 60].map((time) => verdict(time, now))).toEqual([
      'stranger',
      'stranger',
      'stranger',
    ])
    expect(verdict(61, now)).toBe('asked')
    await rememberRevoked(at(61), lost.certificates, CLIENT, now)
    expect([verdict(61, now), verdict(121, now), verdict(122, now)]).toEqual([
      'list',
      'list',
      'asked',
    ])
  })

  it('is remembered no longer than a list or the certificate holds, and not of what ended before', async () => {
    await renewCrl(world.cas.client, world.now, { nextUpdate: world.now + 20 })
    const listed = await standing()
    await rememberRevoked(at(0), lost.certificates, CLIENT, listed)
    expect([verdict(20, listed), verdict(21, listed)]).toEqual(['list', 'asked'])
    // A list of derivers that has ended changes nothing any more.
    await renewCrl(world.cas.client, world.now)
    await renewCrl(world.cas.deriver, world.now, { nextUpdate: world.now - 1 })
    const short = await issueSigner(world.cas.client, uriOf('client', 'short'), world.now, {
      notAfter: world.now + 10,
    })
    await revoke(world.cas.client, short, world.now)
    const ending = await standing()
    await rememberRevoked(at(0), short.certificates, CLIENT, ending)
    expect([verdict(10, ending, short), verdict(11, ending, short)]).toEqual(['list', 'asked'])
  })

  it('is remembered of this certificate, for these roles, under these documents alone', async () => {
    const now = await standing()
    await rememberRevoked(at(0), lost.certificates, CLIENT, now)
    const other = await issueSigner(world.cas.client, uriOf('client', 'other'), world.now)
    expect(verdict(0, now, other)).toBe('asked')
    expect(verdict(0, now, lost, ['client', 'deriver'])).toBe('asked')
    expect(verdict(0, { ...now, tag: 'another' })).toBe('asked')
    // The list is not in force any more: nothing is shown.
    expect(verdict(0, { ...now, crls: [] })).toBe('stranger')
    expect(verdict(0, now)).toBe('list')
  })

  it('is remembered of none whom no list of the tenant names', async () => {
    const now = await standing()
    const good = await issueSigner(world.cas.client, uriOf('client', 'good'), world.now)
    const foreign = await issueSigner(
      await makeCa('client', world.now),
      uriOf('client', 'eve'),
      world.now,
    )
    const broken: Signer = { ...lost, certificates: [new Uint8Array([0x30, 0])] }
    for (const one of [good, foreign, broken]) {
      await rememberRevoked(at(0), one.certificates, CLIENT, now)
      expect(verdict(0, now, one)).toBe('asked')
    }
  })
})
