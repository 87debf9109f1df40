/**
 * A token of an HSM: one session, logged in with the PIN of its place, that is opened anew when it was lost. One operation at a time; the threads of
 * libuv wait for the HSM, not the service.
 */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { readPin } from './given-secret.ts'
import { forgetRefused, notePath, noteRefused, requireUntried } from './pin-guard.ts'
import {
  explain,
  isLost,
  loadModule,
  P11,
  returnValue,
  type Handle,
  type Module,
} from './pkcs11-module.ts'
import { type Pkcs11Place } from './place.ts'

/** Milliseconds for one operation. */
const DEADLINE = 10_000

/** A session, for the length of one operation. */
export interface Session {
  module: Module
  session: Handle
  slot: Handle
  /** Handles of objects, kept as long as the session. */
  found: Map<string, Handle>
}

/** A token that comes back by itself. */
export interface Token {
  readonly label: string
  /** Runs one operation; where the session was lost, once more in a new one. Throws `ERR_ROOT`, `ERR_PIN`, `ERR_ROOT_TIMEOUT` and what `work` throws. */
  use<T>(work: (session: Session) => T | Promise<T>): Promise<T>
}

function findSlot(module: Module, label: string): Handle {
  for (const slot of module.C_GetSlotList(true)) {
    try {
      if (module.C_GetTokenInfo(slot).label.trim() === label) return slot
    } catch (error) {
      // A slot may be emptied while it is looked at.
      if (returnValue(error) === null) throw error
    }
  }
  throw new KeyferryError('ERR_ROOT', `no token ${JSON.stringify(label)} is there`, {
    hint: 'is the HSM plugged in? pkcs11-tool --module PATH --list-token-slots shows the labels',
  })
}

/** Logs in, unless this could lock the token. */
function login(
  module: Module,
  session: Handle,
  slot: Handle,
  place: Pkcs11Place,
  note: string,
): void {
  const { flags } = module.C_GetTokenInfo(slot)
  if ((flags & P11.CKF_USER_PIN_LOCKED) !== 0)
    throw new KeyferryError('ERR_PIN', `the PIN of token ${place.token} is locked`, {
      hint: 'the security officer of the token sets a new PIN: pkcs11-tool --login-type so --init-pin',
    })
  if ((flags & P11.CKF_USER_PIN_FINAL_TRY) !== 0)
    throw new KeyferryError(
      'ERR_PIN',
      `one more wrong PIN would lock token ${place.token}: nothing is tried`,
      {
        hint: 'log in once by hand, with the right PIN: pkcs11-tool --login --list-objects',
      },
    )
  const pin = readPin(place.pin)
  requireUntried(note, pin)
  try {
    module.C_Login(session, P11.CKU_USER, pin)
  } catch (error) {
    const value = returnValue(error)
    // Another session of this process is logged in.
    if (value === 0x100) return
    if (value === 0xa0) noteRefused(note, pin)
    throw error
  }
  forgetRefused(note)
}

function late(what: string): KeyferryError {
  return new KeyferryError('ERR_ROOT_TIMEOUT', `${what} does not answer within ${DEADLINE} ms`, {
    hint: 'is the HSM there and reachable? keyferry root check asks it again',
  })
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(what)), DEADLINE)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

const tokens = new Map<string, Token>()
/** One operation at a time in a module: starting it anew ends the sessions of all its tokens. */
const queues = new WeakMap<Module, Promise<unknown>>()
/** Modules with an operation that is still under way after its deadline: nothing else may use its session, or end it. */
const stuck = new WeakSet<Module>()

/** Runs an operation in its turn. Throws `ERR_ROOT_TIMEOUT`, also while an earlier one has not come back. */
async function inTurn<T>(module: Module, what: string, attempt: () => Promise<T>): Promise<T> {
  if (stuck.has(module)) throw late(what)
  const work = attempt()
  try {
    return await within(work, what)
  } catch (error) {
    if (isKeyferryError(error, 'ERR_ROOT_TIMEOUT')) {
      stuck.add(module)
      const ended = (): void => void stuck.delete(module)
      work.then(ended, ended)
    }
    throw error
  }
}

/** The token of a place; the same one for every key in it. `directory` is the deriver's. Throws `ERR_UNSUPPORTED`, `ERR_ROOT`. */
export async function openToken(place: Pkcs11Place, directory: string): Promise<Token> {
  const name = JSON.stringify([place.module, place.token, place.pin, directory])
  const known = tokens.get(name)
  if (known !== undefined) return known
  const module = await loadModule(place.module)
  const token = makeToken(module, place, notePath(directory, place.token))
  tokens.set(name, token)
  return token
}

/** A token over a loaded module. `note` is where a refused PIN is noted. */
export function makeToken(module: Module, place: Pkcs11Place, note: string): Token {
  const what = `token ${place.token}`
  let open: Session | null = null

  function session(): Session {
    if (open !== null) return open
    const slot = findSlot(module, place.token)
    const handle = module.C_OpenSession(slot, P11.CKF_SERIAL_SESSION | P11.CKF_RW_SESSION)
    try {
      login(module, handle, slot, place, note)
    } catch (error) {
      module.C_CloseSession(handle)
      throw error
    }
    open = { module, session: handle, slot, found: new Map() }
    return open
  }

  function drop(): void {
    try {
      if (open !== null) module.C_CloseSession(open.session)
    } catch {
      // It is gone already.
    }
    open = null
  }

  /** Modules that list their slots once see a token again only so. Every session of the process in this module ends, and is opened anew where it is needed. */
  function startAnew(): void {
    drop()
    try {
      module.C_Finalize()
    } catch {
      // It could not be initialized the last time.
    }
    module.C_Initialize()
  }

  async function attempt<T>(work: (session: Session) => T | Promise<T>): Promise<T> {
    for (let i = 0; ; i++) {
      try {
        if (i === 2) startAnew()
        return await work(session())
      } catch (error) {
        const isAbsent = open === null && isKeyferryError(error, 'ERR_ROOT')
        const isGone = isLost(error) || isAbsent
        drop()
        // Misuse is no matter of the token.
        if (error instanceof TypeError) throw error
        if (!isGone || i === 2) throw explain(error, what)
      }
    }
  }

  return {
    label: place.token,
    use(work) {
      const before = queues.get(module) ?? Promise.resolve()
      const result = before.then(() => inTurn(module, what, () => attempt(work)))
      queues.set(
        module,
        result.catch(() => {}),
      )
      return result
    },
  }
}
