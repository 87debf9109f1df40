/** A second client, in Python and written from docs/ alone, beside the one of web/: with the real relay, the real deriver and a real enrolment. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appConfig, createKeyring, openClientCa, rotateKeyring } from '../../deriver/index.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { base64url, fromBase64url } from '../../shared/bytes.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { createEnrolment, toListener } from '../../web/enrolment/index.ts'
import { createIdentity, enrollAt } from '../../web/enroll.ts'
import { connect, createMemoryStore, type Keyferry, type Keyring } from '../../web/index.ts'
import { initAcme } from '../lib/init-acme.ts'
import { document } from '../lib/openapi.ts'
import { probesOf } from '../lib/openapi-probes.ts'
import { startBendingProxy, type Bend, type BendingProxy } from '../lib/bending-proxy.ts'
import {
  spawnDeriver,
  spawnRelay,
  type DeriverProcess,
  type RelayProcess,
} from '../lib/processes.ts'
import { writeDelivery } from '../vectors/delivery-body.ts'
import { ABSENT, findPython, runPython, spawnPython, type PythonClient } from '../lib/python.ts'

const VECTORS = fileURLToPath(new URL('../../docs/vectors', import.meta.url))
const INVITE = 'invite'
const ORIGIN = 'https://app.acme.example'
/** Seconds until a first key. */
const PATIENCE = 45
const now = (): number => Math.floor(Date.now() / 1000)
const uriOf = (name: string): string => `keyferry://client.acme.example/${name}`

const python = await findPython()
if (python === null) console.warn(ABSENT)

interface Line {
  file: string
  comment: string
  expect: string
  came: string
}

describe.skipIf(python === null)(python === null ? ABSENT : 'a client in Python', () => {
  let directory: string
  let relay: RelayProcess
  let proxy: BendingProxy
  let deriver: DeriverProcess
  let store: Store
  let app: Server
  let ada: Keyferry
  let notes: Keyring
  let config: object
  const started: PythonClient[] = []
  const ca = { close: () => {} }

  /** The app's backend: it knows its users by a header. */
  async function startApp(): Promise<string> {
    const clients = await openClientCa({ directory: join(directory, 'tenant'), passphrase: null })
    ca.close = () => clients.close()
    const handler = createEnrolment({
      ca: clients,
      session: ({ headers }) => {
        const user = headers.get('x-user')
        return user === null ? null : { id: `session of ${user}`, uri: uriOf(user) }
      },
      secret: new Uint8Array(randomBytes(32)),
      origins: [ORIGIN],
    })
    const listener = toListener(handler)
    app = createServer((request, response) => void listener(request, response))
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(app.address() as AddressInfo).port}/enroll`
  }

  const headersOf = (user: string) => ({ origin: ORIGIN, 'x-user': user })
  let enrolment: string

  async function join_(user: string, suite: string, relays: string[]): Promise<PythonClient> {
    const client = spawnPython(python!)
    started.push(client)
    const enrolled = await client.ask('enrol', {
      url: enrolment,
      headers: headersOf(user),
      name: user,
    })
    // The issuing CA is the anchor.
    expect(enrolled).toEqual({ ok: 1 })
    expect(await client.ask('connect', { config: { ...config, relays }, suite })).toEqual({
      ok: suite,
    })
    return client
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    const tenant = join(directory, 'tenant')
    relay = await spawnRelay(join(directory, 'relay'), INVITE)
    proxy = await startBendingProxy(relay.url)
    await initAcme(tenant, [relay.url])
    store = openStore(storePath(tenant))
    createKeyring(store, { name: 'notes', rules: [uriOf('*')] }, now())
    createKeyring(store, { name: 'secret', rules: [uriOf('ada')] }, now())
    config = await appConfig(store)
    deriver = spawnDeriver(tenant, '--invite', INVITE)
    enrolment = await startApp()
    const memory = createMemoryStore()
    const enroll = enrollAt(enrolment, { headers: headersOf('ada') })
    await createIdentity({ name: 'ada', store: memory, enroll })
    ada = await connect({ config: await appConfig(store), store: memory })
    notes = await ada.keyring('notes')
  })
  afterAll(async () => {
    for (const one of started) one.stop()
    ada?.close()
    await deriver?.kill()
    store?.close()
    app?.close()
    ca.close()
    await proxy?.stop()
    await relay?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it.each(['X25519', 'P-256'])(
    'enrols, is let in, and reads and writes what the other client writes and reads: %s',
    async (suite) => {
      const kim = await join_(`kim-${suite.toLowerCase()}`, suite, [relay.url])
      const got = await kim.ask('keyring', { name: 'notes', seconds: PATIENCE })
      expect(got).toMatchObject({ ok: { version: notes.version } })
      // Of no length, of one chunk and of several.
      for (const text of ['', 'a note for Kim', 'é'.repeat(40_000)]) {
        const message = base64url(await notes.encrypt(text, { context: 'note/1' }))
        const theirs = { name: 'notes', message, context: 'note/1' }
        expect(await kim.ask('decrypt', theirs)).toEqual({ ok: text })
        expect(await kim.ask('decrypt', { ...theirs, context: 'note/2' })).toMatchObject({
          code: 'ERR_OPEN',
        })
        const own = await kim.ask('encrypt', { name: 'notes', text, context: 'note/3' })
        const answer = fromBase64url(own.ok as string)
        expect(await notes.decrypt(answer, { context: 'note/3', as: 'text' })).toBe(text)
      }
      expect(await kim.ask('keyring', { name: 'secret', seconds: PATIENCE })).toMatchObject({
        code: 'ERR_DENIED',
      })
    },
  )

  it('[sign-6] signs what the other client verifies, and verifies what it signs', async () => {
    const kim = await join_('kim-signs', 'X25519', [relay.url])
    await kim.ask('keyring', { name: 'notes', seconds: PATIENCE })
    const [text, context] = ['é'.repeat(20_000), 'contract/7']
    const given = { name: 'notes', text, context }
    const from = (name: string) => ({ uri: uriOf(name), status: 'current' })

    const theirs = fromBase64url((await kim.ask('sign', given)).ok as string)
    expect(await notes.verify(theirs, text, { context })).toMatchObject(from('kim-signs'))
    const signature = base64url(await notes.sign(text, { context }))
    expect(await kim.ask('verify', { ...given, signature })).toMatchObject({ ok: from('ada') })
    expect(await kim.ask('verify', { ...given, signature, text: 'other' })).toMatchObject({
      code: 'ERR_HASH',
    })

    const made = fromBase64url((await kim.ask('encrypt', { ...given, sign: true })).ok as string)
    const told: unknown[] = []
    const options = {
      context,
      from: uriOf('kim-signs'),
      onSender: (one: unknown) => told.push(one),
    }
    expect(await notes.decrypt(made, { ...options, as: 'text' })).toBe(text)
    expect(told).toMatchObject([from('kim-signs')])
    const message = base64url(await notes.encrypt(text, { context, sign: true }))
    const read = (wanted: string) =>
      kim.ask('decrypt_from', { name: 'notes', message, context, wanted })
    expect(await read(uriOf('ada'))).toMatchObject({ ok: { text, sender: from('ada') } })
    expect(await read(uriOf('kim-signs'))).toMatchObject({ code: 'ERR_SENDER' })
  })

  it('moves to a new version, and reads messages of both', async () => {
    const kim = await join_('kim-rotates', 'X25519', [relay.url])
    const first = await kim.ask('keyring', { name: 'notes', seconds: PATIENCE })
    const before = base64url(await notes.encrypt('before', { context: '' }))
    expect(first).toMatchObject({ ok: { version: notes.version } })
    const version = rotateKeyring(store, 'notes', now())
    await expect.poll(() => notes.version, { timeout: 20_000 }).toBe(version)
    const after = base64url(await notes.encrypt('after', { context: '' }))
    const read = (message: string) => kim.ask('decrypt', { name: 'notes', message, context: '' })
    // The key came ahead of its use, or comes with the next delivery.
    expect(await kim.ask('keyring', { name: 'notes', seconds: PATIENCE })).toMatchObject({
      ok: { version },
    })
    expect(await read(before)).toEqual({ ok: 'before' })
    expect(await read(after)).toEqual({ ok: 'after' })
  })

  it('refuses what a hostile relay makes of a delivery, and goes on with what it had', async () => {
    const kim = await join_('kim-besieged', 'P-256', [proxy.url])
    const fetch_ = () => kim.ask('keyring', { name: 'notes', seconds: PATIENCE })
    expect(await fetch_()).toMatchObject({ ok: {} })
    const old = proxy.last!
    const version = rotateKeyring(store, 'notes', now())
    const isThere = { ok: { version } }
    await expect.poll(fetch_, { timeout: 20_000 }).toMatchObject(isThere)
    await expect.poll(() => notes.version, { timeout: 20_000 }).toBe(version)

    const edit =
      (change: (delivery: Delivery & { more?: number }) => void): Bend =>
      (body) => {
        const delivery = decodeDelivery(new Uint8Array(body))
        change(delivery)
        return Buffer.from(writeDelivery(delivery))
      }
    const foreign = { leaf: new Uint8Array(136), proof: { index: 0, path: [] } }
    const bends: [string, Bend][] = [
      ['ERR_ROLLBACK', () => old],
      ['ERR_MALFORMED', (body) => body.subarray(1)],
      ['ERR_MALFORMED', (body) => body.subarray(0, -1)],
      ['ERR_MALFORMED', (body) => Buffer.concat([body, Buffer.of(0)])],
      ['ERR_SCHEMA', edit((delivery) => (delivery.more = 1))],
      ['ERR_CRL', edit((delivery) => (delivery.crls = []))],
      [
        'ERR_SIGNATURE',
        edit(({ head: one }) => (one.signatures[0]!.sig = new Uint8Array(64).fill(1))),
      ],
      ['ERR_PATH_INVALID', edit(({ head: one }) => one.certificates.shift())],
      ['ERR_HASH', edit(({ keyrings }) => (keyrings[0]!.releaseProof = { index: 0, path: [] }))],
      ['ERR_DOCUMENT_MISMATCH', edit(({ keyrings }) => keyrings.push(keyrings[0]!))],
      ['ERR_HASH', edit(({ keyrings }) => (keyrings[0]!.member = foreign))],
    ]
    const message = base64url(await notes.encrypt('still there', { context: '' }))
    for (const [code, bend] of bends) {
      proxy.bend = bend
      expect([code, await fetch_()]).toMatchObject([code, { code }])
      const read = await kim.ask('decrypt', { name: 'notes', message, context: '' })
      expect([code, read]).toEqual([code, { ok: 'still there' }])
    }
    proxy.bend = null
    expect(await fetch_()).toMatchObject(isThere)
  })

  it('every vector that it can run comes out as it is written there', async () => {
    const lines = (await runPython(python!, 'vectors.py', VECTORS)) as Line[]
    expect(lines.filter((line) => line.came !== line.expect)).toEqual([])
    type Case = { comment: string; input: object; output?: unknown }
    const countOf = (file: string): number => {
      const text = readFileSync(join(VECTORS, `${file}.json`), 'utf8')
      type File = { cases?: Case[]; bodies?: Case[]; proofs?: Case[] }
      const { cases = [], bodies = [], proofs } = JSON.parse(text) as File
      const isMlKem = ({ input }: Case) => JSON.stringify(input).includes('"MLKEM')
      // It reads whole messages, and has none to wrap again.
      const isLeftOut = ({ comment }: Case) => /^\[(message-3|use-6)\]/.test(comment)
      // A client verifies no signature of a call: what it can make again is what is signed.
      const isApart = (one: Case) => file === 'http' && one.output === undefined
      const all = proofs ?? [...cases, ...bodies]
      return all.filter((one) => !isMlKem(one) && !isLeftOut(one) && !isApart(one)).length
    }
    const files = [...new Set(lines.map(({ file }) => file))]
    expect(files.toSorted()).toEqual(
      ['delivery', 'derivation', 'encoding', 'envelope', 'format', 'http', 'json', 'keys', 'path', 'refusal', 'sender', 'tree', 'trust', 'welcome'], // prettier-ignore
    )
    for (const file of files)
      expect([file, lines.filter((line) => line.file === file).length]).toEqual([
        file,
        countOf(file),
      ])
  })

  it('its schema of the JSON of a delivery has the fields and limits of docs/openapi.json', async () => {
    const { example } = document.components.schemas['Delivery']!
    const probes = probesOf({ $ref: '#/components/schemas/Delivery' }, example)
    const file = join(directory, 'probes.json')
    writeFileSync(file, JSON.stringify(probes.map(({ value }) => value)))
    const codes = (await runPython(python!, 'probe.py', file)) as string[]
    expect(codes.length).toBe(probes.length)
    const odd = probes.filter(({ isListed }, i) => {
      const isTaken = codes[i] === 'ok' || codes[i] === 'ERR_TOO_LARGE'
      return isListed ? !isTaken : codes[i] === 'ok'
    })
    expect(odd.map(({ what }) => what)).toEqual([])
  })
})
