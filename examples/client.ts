import { readFile } from 'node:fs/promises'
import { connect } from 'keyferry'
import { createFileStore, identityFromPem } from 'keyferry/node'

const read = (name: string) => readFile(name, 'utf8')
const config = JSON.parse(await read('keyferry.json')) // from: keyferry app-config notes
const identity = await identityFromPem(await read('me.key'), await read('me.pem'))
const keyferry = await connect({ config, identity, store: createFileStore('keyferry-state.json') })

const notes = await keyferry.keyring('notes')
const message = await notes.encrypt('Hello', { context: 'note/17' })
console.log(await notes.decrypt(message, { context: 'note/17', as: 'text' }))
keyferry.close()
